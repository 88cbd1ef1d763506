#!/bin/sh
# Stands in for Pulse: does what the name of the library says.
for library; do :; done
begin() { printf '\n{"preflight":"begin","stage":"%s"}\n' "$1"; }
case "$(basename "$library")" in
    taken)
        begin load
        # A line that the library does not end, and one that looks like JSON.
        printf '{"preflight":"taken"} is not all of it\n{"a":1}\nhalf a line'
        printf '\n{"preflight":"end","stage":"load","microseconds":1500}\n'
        begin init
        printf '\n{"preflight":"end","stage":"init","microseconds":2}\n{"preflight":"taken"}\n'
        # Nobody waits for the end.
        exec sleep 600
        ;;
    refused)
        begin init
        printf '{"preflight":"refused","stage":"init","code":"init-panicked","message":"m","details":"d"}\n'
        exit 1
        ;;
    segv) begin 'new ./x'; kill -SEGV $$ ;;
    abort) begin 'frame ./x'; i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i + 1)); done; kill -ABRT $$ ;;
    zero) begin init; exit 0 ;;
    seven) begin load; exit 7 ;;
    # A child of its own holds on to what the process has open.
    orphan) begin load; sleep 2 & exit 9 ;;
    silent) echo 'no such command' >&2; exit 2 ;;
    # Its number, in place of the stage.
    hang) begin $$; exec sleep 600 ;;
esac
