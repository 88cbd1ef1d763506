#!/bin/sh
# Stands in for Pulse as guard or trial: does what the name of the library says.
role=$3
for library; do :; done
# A line on the channel, which a trial has as its standard input.
raw() { if [ "$role" = trial ]; then printf '%s\n' "$1" >&0; else printf '%s\n' "$1"; fi; }
word=
if [ "$role" = trial ]; then word=f00d; [ "$(basename "$library")" = silent ] || raw "$word"; fi
say() { raw "$word$1"; }
begin() { say '{"preflight":"begin","stage":"'"$1"'"}'; }
end() { say '{"preflight":"end","stage":"'"$1"'","microseconds":'"$2"'}'; }
taken() { say '{"preflight":"taken"}'; }
# What the library writes, which looks like the channel.
noise() { printf '{"preflight":"taken"}\n%s{"preflight":"taken"}\nhalf a line' "$word"; }
case "$(basename "$library")" in
    taken) begin load; end load 1500; begin init; end init 2; taken ;;
    noisy) begin load; noise; noise >&2; end load 1500; taken ;;
    # A guard that says more than events.
    chatty) echo; echo 'half a word'; begin load; end load 1500; taken ;;
    refused)
        begin init
        say '{"preflight":"refused","stage":"init","code":"init-panicked","summary":"in '"$library"'","advice":"","details":"d"}'
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
    # A child of its own holds on to what the process has open.
    orphan) begin load; sleep 2 & exit 9 ;;
    silent) echo 'no such command' >&2; exit 2 ;;
    # Its number, in place of the stage.
    hang) begin $$; exec sleep 600 ;;
    # A guard that ends when it is asked to.
    obedient)
        cat >/dev/null
        say '{"preflight":"refused","stage":"preflight","code":"preflight-cancelled","summary":"m","advice":"","details":""}'
        ;;
esac
