#!/bin/bash
# Says what is wrong with a set-up before a caller finds out: settings, certificate, names, relays, the way to Meta.
#
# usage: check.sh [--at-start] [FOLDER]
#   FOLDER      where kamailio.cfg, settings.cfg and tls.cfg are; /etc/kamailio without it
#   --at-start  nothing that asks the network outside: for ExecStartPre of systemd
# Exit status 1 when something is BAD.
set -u
outside=yes
[ "${1:-}" = --at-start ] && { outside=no; shift; }
folder=${1:-/etc/kamailio}
bad=0

ok() { printf 'ok    %s\n' "$*"; }
warn() { printf 'note  %s\n' "$*"; }
bad() { printf 'BAD   %s\n' "$*"; bad=1; }
setting() { sed -n "s/^#!define $1 \"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$folder/settings.cfg" | tail -1; }
tls_setting() { sed -n "/^\[$1:default\]/,/^\[/s/^$2 *= *//p" "$folder/tls.cfg" | tail -1; }

for file in kamailio.cfg settings.cfg tls.cfg; do
    [ -r "$folder/$file" ] || { bad "$folder/$file cannot be read"; exit 1; }
done
cd "$folder" || exit 1
host=$(setting SIP_HOST)
host_port=$(setting SIP_HOST_PORT)
domain=$(setting META_DOMAIN)

# ---- settings.cfg
grep -q '"change-me"' settings.cfg && bad "settings.cfg: a password is still \"change-me\": Meta generates one for each number and app"
[ "$host" = sbc.example.com ] && bad "settings.cfg: SIP_HOST is still sbc.example.com: write the name that was given to Meta"
readable_by_all=$(find settings.cfg -perm -o=r)
[ -n "$readable_by_all" ] && warn "settings.cfg holds passwords and everybody may read it: chmod 640 settings.cfg; chgrp kamailio settings.cfg"
numbers=$(grep -cE '^ *\$sht\(secret=>[0-9]+\)' settings.cfg)
[ "$numbers" = 0 ] && bad "settings.cfg: no business number has a password"
for number in $(sed -nE 's/^ *\$sht\(secret=>([0-9]+)\).*/\1/p' settings.cfg); do
    grep -qE "^ *\\\$sht\(keys=>$number\) = \"(DTLS|SDES)\";" settings.cfg || bad "settings.cfg: +$number has no line for keys, DTLS or SDES"
done
while read -r number file; do
    [[ $file = *" "* ]] && bad "settings.cfg: the announcement of +$number, $file, has a space: the relay would look for ${file%% *}"
done < <(sed -nE 's/^ *\$sht\(announcement=>([0-9]+)\) = "(.*)";.*/\1 \2/p' settings.cfg)
[ $bad = 0 ] && ok "settings.cfg: $numbers business number(s), host $host"

# ---- What Kamailio itself says. It complains about some things and starts all the same, so its words decide.
said=$(kamailio -c -f "$folder/kamailio.cfg" 2>&1)
if grep -q "config file ok" <<< "$said" && ! grep -qE "ERROR|CRITICAL" <<< "$said"; then
    ok "kamailio -c accepts the files"
else
    bad "kamailio -c: $(grep -E 'ERROR|CRITICAL' <<< "$said" | head -3)"
fi

# ---- The certificate that Meta sees
certificate=$(tls_setting server certificate)
key=$(tls_setting server private_key)
trusted=$(tls_setting client ca_list)
if [ ! -r "$certificate" ]; then
    bad "tls.cfg: the certificate $certificate cannot be read"
elif [ ! -r "$key" ]; then
    bad "tls.cfg: the key $key cannot be read (by the user kamailio, at that)"
else
    [ "$(openssl x509 -in "$certificate" -noout -pubkey 2> /dev/null)" = "$(openssl pkey -in "$key" -pubout 2> /dev/null)" ] \
        && ok "certificate and key belong together" || bad "tls.cfg: $key is not the key of $certificate"
    openssl x509 -in "$certificate" -noout -checkhost "$host" | grep -q "does match" \
        && ok "the certificate is for $host" \
        || bad "the certificate is not for $host: Meta drops the user's call without a word. It is for $(openssl x509 -in "$certificate" -noout -ext subjectAltName 2> /dev/null | tail -n +2 | tr -d ' ')"
    if ! openssl x509 -in "$certificate" -noout -checkend 0 > /dev/null; then
        bad "the certificate ended on $(openssl x509 -in "$certificate" -noout -enddate | cut -d= -f2)"
    elif ! openssl x509 -in "$certificate" -noout -checkend 1209600 > /dev/null; then
        warn "the certificate ends on $(openssl x509 -in "$certificate" -noout -enddate | cut -d= -f2); after a new one: kamcmd tls.reload"
    fi
    openssl verify -untrusted "$certificate" -CAfile "${trusted:-/etc/ssl/certs/ca-certificates.crt}" "$certificate" > /dev/null 2>&1 \
        && ok "its chain leads to an authority of $trusted" \
        || bad "its chain does not lead to an authority of $trusted: $certificate must hold the intermediate certificates too (fullchain.pem), and Meta takes no private authority"
fi
[ -r "$trusted" ] || bad "tls.cfg: ca_list $trusted cannot be read, so Meta's certificate cannot be checked"

# ---- The relays: one NG ping each
for relay in $(setting RELAYS); do
    address=${relay#udp:}
    answer=$( { exec 3<> "/dev/udp/${address%:*}/${address##*:}" && printf 'check d7:command4:pinge' >&3 && timeout 1 head -c 1 <&3; } 2> /dev/null )
    [ "$answer" = c ] && ok "relay $relay answers" || bad "relay $relay does not answer a ping: is tandem running, with --listen-ng=$address?"
done

# ---- The way out and the way in
if [ $outside = yes ]; then
    if ! getent hosts "$domain" > /dev/null; then
        bad "$domain does not resolve: check the DNS of this host"
    elif openssl s_client -connect "$domain:5061" -servername "$domain" -verify_hostname "$domain" -verify_return_error -CAfile "$trusted" \
            < /dev/null > /dev/null 2>&1; then
        ok "Meta answers at $domain:5061, with a certificate for it"
    else
        bad "no TLS to $domain:5061: a firewall on the way out is why a hang-up does not reach the user"
    fi
    getent hosts "$host" > /dev/null || bad "$host does not resolve: Meta could not find it either"
    if openssl s_client -connect "$host:$host_port" -servername "$host" -verify_return_error -CAfile "$trusted" < /dev/null > /dev/null 2>&1; then
        ok "this server answers at $host:$host_port"
    else
        warn "nothing answers at $host:$host_port from here: not started yet, or a firewall"
    fi
fi
[ $bad = 0 ] && echo "nothing is wrong that could be seen from here" || echo "the lines with BAD have to be mended"
exit $bad
