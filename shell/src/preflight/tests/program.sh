#!/bin/sh
# Runs instead of Pulse as guard or trial. The name of the library selects the behaviour.
role=$3
for library; do :; done
# Writes a line to the channel, which is the standard input of a trial.
raw() { if [ "$role" = trial ]; then printf '%s\n' "$1" >&0; else printf '%s\n' "$1"; fi; }
word=
if [ "$role" = trial ]; then word=f00d; [ "$(basename "$library")" = silent ] || raw "$word"; fi
send() { raw "$word$1"; }
begin() { send '{"preflight":"begin","stage":"'"$1"'"}'; }
end() { send '{"preflight":"end","stage":"'"$1"'","microseconds":'"$2"'}'; }
taken() { send '{"preflight":"taken"}'; }
# Output of the library that looks like the channel.
noise() { printf '{"preflight":"taken"}\n%s{"preflight":"taken"}\nhalf a line' "$word"; }
case "$(basename "$library")" in
    taken) begin load; end load 1500; begin init; end init 2; taken ;;
    noisy) begin load; noise; noise >&2; end load 1500; taken ;;
    # A guard that writes more than events.
    chatty) echo; echo 'half a word'; begin load; end load 1500; taken ;;
    refused)
        begin init
        send '{"preflight":"refused","stage":"init","code":"init-panicked","summary":"in '"$library"'","advice":"","details":"d"}'
        echo 'more words'
        exit 1
        ;;
    written) begin load; noise; kill -SEGV $$ ;;
    forged) begin load; raw '{"preflight":"taken"}'; sleep 600 ;;
    twice) begin load; taken; taken ;;
    taken-segv) begin load; taken; kill -SEGV $$ ;;
    taken-seven) begin load; taken; exit 7 ;;
    taken-hang) begin load; taken; exec sleep 600 ;;
    segv) begin 'new ./x'; kill -SEGV $$ ;;
    abort) begin 'frame ./x'; i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i + 1)); done; kill -ABRT $$ ;;
    zero) begin init; exit 0 ;;
    seven) begin load; exit 7 ;;
    # A child keeps the open files of the process.
    orphan) begin load; sleep 2 & exit 9 ;;
    silent) echo 'no such command' >&2; exit 2 ;;
    # Its process id, instead of a stage.
    hang) begin $$; exec sleep 600 ;;
    # A guard that ends on request.
    cancellable)
        cat >/dev/null
        send '{"preflight":"refused","stage":"preflight","code":"preflight-cancelled","summary":"m","advice":"","details":""}'
        ;;
esac
