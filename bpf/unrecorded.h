/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the kernel counts of handshakes, and no record tells of: half-open connections that a RST
 * ended (EmbryonicRsts), and SYN cookies that were good and made no connection (of SyncookiesRecv).
 * Nothing is called then that could be looked at, but that the packet is let go of. So two counters
 * of the namespace are looked at there, their parts of this CPU: what they moved since the last
 * look is this packet's, as both are moved in the softirq that handles it. A cookie that did make a
 * connection is told with that, and looked at there (cookies.h).
 */
#ifndef TT_UNRECORDED_H
#define TT_UNRECORDED_H

#include "emit.h"
#include "mib.h"

/* What no CO-RE relocation can tell; found by user space, constant afterwards. */
struct tt_cookie_setup {
	__u32 received;	 /* index of LINUX_MIB_SYNCOOKIESRECV, 0: none of this is looked at */
	__u32 embryonic; /* and of LINUX_MIB_EMBRYONICRSTS */
	__u32 cpus;
};

SETTING(struct tt_cookie_setup, tt_cookie_setup);

struct tt_unrecorded {
	/* this CPU's counters at the last look */
	__u64 received;
	__u64 embryonic;
	/* since tracing began */
	__u64 no_connection; /* good cookies without one */
	__u64 resets;	     /* of half-open connections */
	__u64 netns;	     /* its inode, on the CPU that met it first */
};

/*
 * By namespace (its cookie, which is never used again). One that is not there is younger than the
 * tracer, or had no such thing yet when tracing began: its counters were 0.
 */
MAP_OF(PERCPU_HASH, tt_unrecorded, __u64, struct tt_unrecorded, 1024);

ZEROS(struct tt_unrecorded, tt_none_unrecorded); /* not on the stack, which is small */

tt_inline __u64 tt_read_counter(const struct net *net, __u64 offset, __u32 index)
{
	const void *counters = BPF_CORE_READ(net, mib.net_statistics);
	__u64 value = 0;

	counters += offset + bpf_core_field_offset(struct linux_mib, mibs);
	bpf_probe_read_kernel(&value, sizeof(value), counters + index * sizeof(long));
	return value;
}

/* Where this CPU's counters lie beyond what pointers to them say; 0: not known. */
tt_inline __u64 tt_this_cpus_offset(void)
{
	__u32 zero = 0;
	struct tt_here *here = MAP_GET(tt_here, &zero);

	if (!here)
		return 0;
	if (!here->offset)
		here->offset = tt_percpu_offset(here);
	return here->offset;
}

/* What is kept of a namespace; NULL: there is no room. */
tt_inline struct tt_unrecorded *tt_get_unrecorded(const struct net *net)
{
	__u64 cookie = BPF_CORE_READ(net, net_cookie);
	struct tt_unrecorded *found = MAP_GET(tt_unrecorded, &cookie);

	if (found)
		return found;
	MAP_PUT(tt_unrecorded, &cookie, ZEROS_AT(tt_none_unrecorded), BPF_NOEXIST);
	found = MAP_GET(tt_unrecorded, &cookie);
	if (found)
		found->netns = BPF_CORE_READ(net, ns.inum);
	return found;
}

/* How far a counter moved on this CPU since the last look. */
tt_inline __u64 tt_since_seen(__u64 *seen, __u64 now)
{
	__u64 before = *seen;

	/* a run on top of this one may have looked later */
	if (now <= before)
		return 0;
	*seen = now;
	return now - before;
}

#ifndef TT_BCC /* nothing is looked at there */
LOOP_BODY long tt_see_counters(__u32 cpu, struct tt_priming *priming)
{
	const struct tt_here *here;
	struct tt_unrecorded *seen;
	__u64 offset, received, embryonic;
	__u32 zero = 0;

	here = bpf_map_lookup_percpu_elem(MAP_POINTER(tt_here), &zero, cpu);
	if (!here)
		return 0;
	offset = tt_percpu_offset(here);
	received = tt_read_counter(priming->net, offset, tt_cookie_setup.received);
	embryonic = tt_read_counter(priming->net, offset, tt_cookie_setup.embryonic);
	if ((!received && !embryonic) || !tt_get_unrecorded(priming->net))
		return 0;
	seen = bpf_map_lookup_percpu_elem(MAP_POINTER(tt_unrecorded), &priming->cookie, cpu);
	if (!seen)
		return 0;
	/* a look at this very moment may have seen more */
	if (seen->received < received)
		seen->received = received;
	if (seen->embryonic < embryonic)
		seen->embryonic = embryonic;
	return 0;
}

/*
 * See a namespace's counters as they stand, on all CPUs: what came before tracing is nothing of
 * ours. As tracing begins, where there are listeners; elsewhere, before one hears anything.
 */
tt_inline void tt_prime_unrecorded(const struct net *net)
{
	struct tt_priming priming = {.net = net};

	priming.cookie = BPF_CORE_READ(net, net_cookie);
	LOOP(tt_cookie_setup.cpus, TT_MOST_CPUS, tt_see_counters, &priming);
}

tt_inline void tt_prime_if_new(const struct sock *listener)
{
	struct net *net = NULL;
	__u64 cookie;

	bpf_core_read(&net, sizeof(net), &listener->__sk_common.skc_net.net);
	cookie = BPF_CORE_READ(net, net_cookie);
	if (!MAP_GET(tt_unrecorded, &cookie))
		tt_prime_unrecorded(net);
}
#endif

#endif
