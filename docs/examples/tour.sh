#!/bin/sh
# The life of a session with nothing but curl, and `undertone stream` for the audio.
#
#   tour.sh talk.wav [folder]      leaves talk.vtt, talk.csv, talk.html and events.txt in the folder
#
# GATEWAY is another gateway's address, KEY a key where it needs one.
set -eu

recording=$1
folder=${2:-.}
gateway=${GATEWAY:-http://127.0.0.1:8522}
sessions=$gateway/api/v1/sessions

ask() { curl --silent --show-error --fail-with-body ${KEY:+--header "Authorization: Bearer $KEY"} "$@"; }
tell() { ask --header 'Content-Type: application/json' --data "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

made=$(tell '{"device_type": "tour", "delivery": "lossless"}' "$sessions")
session=$(echo "$made" | field id)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; ask --request DELETE --output /dev/null "$sessions/$session"' EXIT
echo "created   $session"

ask --no-buffer "$sessions/$session/events" >"$folder/events.txt" &
watcher=$!

echo "$made" | field ticket >"$scratch/ticket"
undertone stream "$recording" --url "$gateway" --session-id "$session" --key-file "$scratch/ticket" --plain
wait "$watcher"
echo "watched   $(grep -c '^event: ' "$folder/events.txt") events"

make() {
    task=$(tell "$1" "$sessions/$session/tasks" | field id)
    state=queued
    while [ "$state" = queued ] || [ "$state" = running ]; do
        sleep 0.1
        state=$(ask "$gateway/api/v1/tasks/$task" | field state)
    done
    ask --output "$folder/$2" "$gateway/api/v1/tasks/$task/result"
    echo "made      $folder/$2"
}
make '{"type": "export", "options": {"format": "vtt"}}' talk.vtt
make '{"type": "export", "options": {"format": "csv"}}' talk.csv
make '{"type": "report"}' talk.html

echo "counted   $(ask "$sessions/$session/stats")"
