#!/bin/sh
# Runs in the guest: SHARED ROOT PYTHON MODULES; SHARED/tree.tar is unpacked at /run/tree.
shared=$1 root=$2 python=$3 modules=$4
exec >"$shared/log" 2>&1
# the kernel's own: veth is one. Before this tree, which hides where they are
mount --bind "$modules" /lib/modules || exit 1
mkdir -p /run/tree && mount -t tmpfs -o size=2200m tree /run/tree || exit 1
# in few large reads
tar -b 1000 -xf "$shared/tree.tar" -C /run/tree || exit 1
mount --all --fstab "$shared/fstab" || exit 1
cd "$root" || exit 1
export PYTHONPATH="$root" PYTHONDONTWRITEBYTECODE=1 TCPTRACE_PATIENCE=8 TCPTRACE_GUEST="$shared"
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 # those of plugins that stayed behind
ulimit -n 20000
# Each on one CPU: where two work off a handshake's ACK and its first data at once, the kernel makes
# a second child and throws it away, and exact counts are then one off.
for cpu in 0 1; do
	{ taskset -c $cpu "$python" -m tests.vm.inside $cpu && touch "$shared/done-$cpu"; } \
		>"$shared/log-$cpu" 2>&1 &
done
wait
