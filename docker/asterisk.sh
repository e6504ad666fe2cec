#!/bin/sh
# Runs the embedded Asterisk as a container's service: up, its log to standard output, down.
set -eu

trap 'callbridge asterisk down; exit 0' TERM INT
# Containers that were killed leave a state that the next start recognises and clears.
callbridge asterisk up
callbridge asterisk logs --follow &
# The log ends when Asterisk does; "status" then says why, and fails.
wait $!
callbridge asterisk status
