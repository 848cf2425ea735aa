#!/bin/sh
# Writes what the trial needs: certificates of a throw-away authority, and the settings of every part with loopback in place of the
# example network. The simulator is Meta, a baresip is the PBX.
#
# usage: prepare.sh REPOSITORY SIMULATOR FOLDER
set -eu
repository=$1 simulator=$2 folder=$3

mkdir -p "$folder/phone"
cd "$folder"
"$simulator" make-ca --out certs --host sbc.example.com
# The programs run as different users, and nothing of this is secret.
chmod 644 certs/*.key

cp "$repository"/kamailio-scripts/*.cfg .
sed -i -e 's|^#!define META_LISTEN .*|#!define META_LISTEN tls:127.0.0.1:5061|' \
    -e 's|^#!define META_NEXT_HOP .*|#!define META_NEXT_HOP "sip:127.0.0.1:5071;transport=tls"|' \
    -e 's|^#!define META_SOURCES .*|#!define META_SOURCES "127.0.0.0/8"|' \
    -e 's|^#!define PBX_LISTEN .*|#!define PBX_LISTEN udp:127.0.0.1:5060|' \
    -e 's|^#!define PBX_SIDE_ADDRESS .*|#!define PBX_SIDE_ADDRESS 127.0.0.1:5060|' \
    -e 's|^#!define PBX_NEXT_HOPS .*|#!define PBX_NEXT_HOPS "127.0.0.1:5080"|' \
    -e 's|^#!define PBX_SOURCES .*|#!define PBX_SOURCES "127.0.0.1/32"|' \
    -e 's|"change-me"|"secret"|' settings.cfg
sed -i -e "s|^certificate = .*|certificate = $folder/certs/sbc.example.com.pem|" \
    -e "s|^private_key = .*|private_key = $folder/certs/sbc.example.com.key|" \
    -e "s|^ca_list = .*|ca_list = $folder/certs/ca.pem|" tls.cfg

sed -e 's|^interface = .*|interface = pub/127.0.0.1;priv/127.0.0.1|' -e 's|^#listen-http|listen-http|' "$repository/packaging/tandem.conf" > tandem.conf
sed -e 's|10\.0\.0\.8:2225|127.0.0.1:2225|' -e 's|10\.0\.0\.7:9092|127.0.0.1:9092|' "$repository/grafana/prometheus.yml" > prometheus.yml
cp "$repository/grafana/alerts.yml" .

cat > phone/config <<PHONE
sip_listen 127.0.0.1:5080
net_interface 127.0.0.1
audio_source ausine,440
audio_player aufile,/dev/null
module_path /usr/lib/baresip/modules
module opus.so
module ausine.so
module aufile.so
module_tmp account.so
module_app menu.so
PHONE
echo '<sip:+15550783881@127.0.0.1:5080>;regint=0;answermode=auto;audio_codecs=opus/48000/2' > phone/accounts
: > phone/contacts
