#!/bin/bash
# Says what is wrong with settings.cfg before Meta or a PBX has to find out:
#
#     ./check.sh [FOLDER]        the folder of settings.cfg and opensips.cfg; /etc/opensips without it
#
# "wrong" must be mended (exit status 1), "warning" may be somebody else's trouble, such as a Meta that
# cannot be reached this minute. Before every start: ExecStartPre=/etc/opensips/check.sh

folder=${1:-/etc/opensips}
settings=$folder/settings.cfg
failed=0

wrong() { echo "wrong    $*"; failed=1; }
warning() { echo "warning  $*"; }
fine() { echo "fine     $*"; }

# The value of a setting: of cfgutils by its name, of another module by module and parameter.
shared() { sed -n "s/^modparam(\"cfgutils\", \"shvset\", \"$1=[si]:\(.*\)\")\$/\1/p" "$settings" | head -1; }
parameter() { sed -n "s/^modparam(\"$1\", \"$2\", \"\(.*\)\")\$/\1/p" "$settings"; }
# Of each business number: the number and its value.
of_number() { sed -n "s/^[^#]*cache_store(\"local\", \"$1_\([0-9]*\)\", \"\(.*\)\").*/\1 \2/p" "$settings"; }
tls_file() { parameter tls_mgm "$1" | sed -n "s/^\[$2\]//p" | head -1; }

if [ ! -r "$settings" ]; then
    wrong "$settings cannot be read"
    exit 1
fi

host=$(shared sip_host)
certificate=$(tls_file certificate from_meta)
key=$(tls_file private_key from_meta)
authorities=$(tls_file ca_list to_meta)

# ---- settings.cfg itself

grep -v '^ *#' "$settings" | grep -q 'change-me' && wrong "settings.cfg still says change-me: the SIP password of a number, or the secret of our challenges"
[ "$(parameter auth secret | awk '{print length}')" = 32 ] || wrong "the secret of the module auth must have exactly 32 characters"
case $(stat -c %a "$settings") in *[4567]) warning "everybody on this host can read the passwords: chmod 640 $settings" ;; esac
number=$(shared default_number)
grep -q "\"secret_$number\"" "$settings" || wrong "default_number $number has no secret_$number"
for number in $(of_number secret | cut -d ' ' -f 1); do
    grep -Eq "^[^#]*\"keys_$number\", \"(DTLS|SDES)\"" "$settings" || wrong "number $number has no keys_$number, which is DTLS or SDES"
done
sets=$(parameter rtpengine rtpengine_sock)
[ "$(echo "$sets" | grep -v ' == ')" = "$(shared relays)" ] || wrong "rtpengine_sock and relays are not the same list"
while read -r number set relays; do
    echo "$sets" | grep -qxF "$set == $relays" || wrong "relays_$number has no line 'rtpengine_sock' with \"$set == $relays\""
done < <(of_number relays)
while read -r number file; do
    [[ $file = *" "* ]] && wrong "announcement_$number '$file' has a space: the relay would look for '${file%% *}'"
done < <(of_number announcement)
for target in $(echo "$(shared pbx_next_hops),$(of_number pbx | cut -d ' ' -f 2 | paste -sd ,)" | tr , ' '); do
    [[ ,$(shared pbx_asked), = *,$target,* ]] || warning "PBX $target is not in pbx_asked: when it is silent, callers find out"
done

# ---- Our name and certificate

case $host in
    *[!0-9.]*) getent hosts "$host" >/dev/null || wrong "$host does not resolve here, and OpenSIPS would not start: put it into /etc/hosts" ;;
    *) wrong "sip_host is '$host': Meta wants a name" ;;
esac
if [ ! -r "$certificate" ] || [ ! -r "$key" ]; then
    wrong "certificate '$certificate' or key '$key' cannot be read"
else
    if [ "$(openssl x509 -in "$certificate" -noout -pubkey 2>&1)" != "$(openssl pkey -in "$key" -pubout 2>&1)" ]; then
        wrong "$key is not the key of $certificate"
    fi
    if ! openssl x509 -in "$certificate" -noout -checkend 0 >/dev/null; then
        wrong "the certificate has expired: $(openssl x509 -in "$certificate" -noout -enddate)"
    elif ! openssl x509 -in "$certificate" -noout -checkend 1209600 >/dev/null; then
        warning "the certificate expires within two weeks: $(openssl x509 -in "$certificate" -noout -enddate)"
    fi
    openssl x509 -in "$certificate" -noout -checkhost "$host" | grep -q 'does match' || wrong "$host is not among the names of the certificate"
    # The chain as Meta gets it: what stands in the file and nothing else of ours.
    chain=$(openssl verify -CAfile "$authorities" -untrusted "$certificate" "$certificate" 2>&1) ||
        wrong "nobody vouches for the certificate, Meta drops such calls silently; is the full chain in $certificate? openssl: $(echo "$chain" | grep -m 1 error)"
fi
[ -r "$authorities" ] || wrong "ca_list '$authorities' cannot be read: no call to Meta would succeed"

# ---- Addresses of this host

for address in $(sed -n 's/^socket=[a-z]*:\([^ ]*\):[0-9]* *.*$/\1/p' "$settings"); do
    [ "${address#127.}" != "$address" ] || ip -o address 2>/dev/null | grep -q " ${address//./\\.}/" || wrong "socket $address is no address of this host"
done

# ---- The folder of the calls

calls=$(parameter dialog db_url | sed 's/^text:\/\///')
for file in dialog version; do
    [ -w "$calls/$file" ] || wrong "$calls/$file is not there or cannot be written: cp -r calls $(dirname "$calls"), owned by the user of OpenSIPS"
done

# ---- The relays: the NG ping, as OpenSIPS sends it

for relay in $(echo "$sets" | sed 's/^.* == //'); do
    address=${relay#udp:}
    answer=$(exec 3<>"/dev/udp/${address%:*}/${address##*:}" && printf 'check d7:command4:pinge' >&3 && timeout 1 dd bs=200 count=1 <&3 2>/dev/null)
    case $answer in *pong*) fine "relay $relay answers" ;; *) warning "relay $relay does not answer: every call gets 503 until it does" ;; esac
done

# ---- Meta

next_hop=$(shared meta_next_hop)
next_hop=${next_hop#sip:}
next_hop=${next_hop%%;*}
if ! getent hosts "${next_hop%:*}" >/dev/null; then
    warning "${next_hop%:*} does not resolve: no call to Meta, and no hang-up of the PBX reaches it"
elif said=$(timeout 5 openssl s_client -connect "$next_hop" -servername "$(shared meta_domain)" -CAfile "$authorities" -verify_return_error </dev/null 2>&1); then
    fine "Meta answers at $next_hop, with a certificate of $(echo "$said" | sed -n 's/^subject=.*CN = //p')"
else
    # 40A7...:error:8000006F:system library:BIO_connect:Connection refused:../crypto/...: its fifth word says it.
    why=$(echo "$said" | sed -n 's/^[0-9A-F]*:error:[^:]*:[^:]*:[^:]*:\([^:]*\):.*/\1/p; s/^verify error:num=[0-9]*://p' | head -1)
    warning "no TLS connection to Meta at $next_hop: ${why:-no answer within 5 s, is a firewall in the way?}"
fi

# ---- What OpenSIPS itself says

opensips=${OPENSIPS:-$(command -v opensips)}
if [ -z "$opensips" ]; then
    warning "there is no opensips on the PATH to read opensips.cfg"
elif said=$("$opensips" -C -f "$folder/opensips.cfg" 2>&1); then
    version=$("$opensips" -V | sed -n '1s/version: //p')
    fine "$version reads opensips.cfg"
    # It starts with the lines of another version too, and then calls fail or are never ended.
    case $version in *' 3.'*) flags=B threads= ;; *) flags=bye-on-timeout threads=1 ;; esac
    if [ "$(shared dialog_flags)" != "$flags" ] || [ "$(sed -n 's/^tcp_threads=//p' "$settings")" != "$threads" ]; then
        wrong "dialog_flags and tcp_threads are not those for $version: see the top of settings.cfg"
    fi
else
    wrong "OpenSIPS does not read opensips.cfg: $(echo "$said" | grep -m 3 -E 'ERROR|CRITICAL')"
fi

[ $failed = 0 ] && fine "settings.cfg" || echo "settings.cfg has to be mended"
exit $failed
