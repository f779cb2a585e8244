/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel's own counters of a namespace (LINUX_MIB_*), as they moved on this
 * CPU since the last look. A counter that moves in a softirq is moved by what
 * that softirq does: the CPU's own part of it says what became of a packet.
 */
#ifndef TT_MIB_H
#define TT_MIB_H

#include "maps.h"
#include "rate.h"

#define TT_SYN_SPANS 2
#define TT_ACK_SPANS 12
#define TT_MOST_CPUS 512 /* through BCC, which has no loops of any length */

/* What no CO-RE relocation can tell; found by user space, constant afterwards. */
struct tt_syn_setup {
	/* code in which a listener's SYN, and its final ACK, are freed */
	__u64 syn_from[TT_SYN_SPANS];
	__u64 syn_to[TT_SYN_SPANS];
	__u64 ack_from[TT_ACK_SPANS];
	__u64 ack_to[TT_ACK_SPANS];
	__u32 mib[TT_MIB_MAX]; /* index of each enum tt_mib: the kernel's enum has no name */
	__u32 cpus;	       /* possible ones */
	__u32 reserved;
};

SETTING(struct tt_syn_setup, tt_syn_setup);

struct tt_mibs {
	__u64 at[TT_MIB_MAX];
	__u64 known;
	/* where this CPU's counters lie, as long as the namespace is there; 0: it has none such */
	__u64 linux_mibs, ipv4_mibs, ipv6_mibs;
	__u64 netns;
};

/* By namespace (its cookie, which is never used again), the values at the last look. */
MAP_OF(LRU_PERCPU_HASH, tt_mibs, __u64, struct tt_mibs, 1024);

/* What a CPU keeps for itself. */
struct tt_here {
	__u64 offset;	     /* of this CPU's part of all per-CPU memory, 0: not found yet */
	struct tt_rate rate; /* records that may be sent */
	__u64 told_skb;	     /* the packet of the last final ACK that was told to be dropped */
};

MAP_OF(PERCPU_ARRAY, tt_here, __u32, struct tt_here, 1);

/*
 * How far a CPU's part of per-CPU memory is from where per-CPU pointers point.
 * __per_cpu_offset is not always in kallsyms; but a lookup in a per-CPU array
 * adds that same number to the array's own per-CPU pointer.
 */
tt_inline __u64 tt_percpu_offset(const struct tt_here *here)
{
	const void *map = (const void *)tt_as_number(MAP_POINTER(tt_here));
	__u64 pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer),
			      map + bpf_core_field_offset(struct bpf_array, pptrs));
	return pointer ? tt_as_number(here) - pointer : 0;
}

/* Eight bytes at any address of the kernel's; 0 where nothing is. */
tt_inline __u64 tt_read_long(__u64 address)
{
	__u64 value = 0;

	if (CFG(casts)) /* any type will do that begins with a number of this size */
		return tt_cast(struct linux_mib, address)->mibs[0];
	bpf_probe_read_kernel(&value, sizeof(value), (const void *)address);
	return value;
}

tt_inline void tt_find_mibs(const struct net *net, __u64 offset, struct tt_mibs *mibs)
{
	const __u64 ip = bpf_core_field_offset(struct ipstats_mib, mibs) +
			 tt_syn_setup.mib[TT_MIB_OUTNOROUTES] * sizeof(long);
	__u64 ipv4 = (__u64)BPF_CORE_READ(net, mib.ip_statistics);
	__u64 ipv6 = (__u64)BPF_CORE_READ(net, mib.ipv6_statistics);

	mibs->linux_mibs = (__u64)BPF_CORE_READ(net, mib.net_statistics) + offset +
			   bpf_core_field_offset(struct linux_mib, mibs);
	mibs->ipv4_mibs = ipv4 ? ipv4 + offset + ip : 0;
	mibs->ipv6_mibs = ipv6 ? ipv6 + offset + ip : 0;
	mibs->netns = BPF_CORE_READ(net, ns.inum);
}

tt_inline __u64 tt_read_mib(const struct tt_mibs *mibs, const enum tt_mib mib)
{
	__u64 value;

	if (mib != TT_MIB_OUTNOROUTES)
		return tt_read_long(mibs->linux_mibs + tt_syn_setup.mib[mib] * sizeof(long));
	value = mibs->ipv4_mibs ? tt_read_long(mibs->ipv4_mibs) : 0;
	return mibs->ipv6_mibs ? value + tt_read_long(mibs->ipv6_mibs) : value;
}

ZEROS(struct tt_mibs, tt_no_mibs); /* not on the stack, which is small */

struct tt_priming {
	const struct net *net;
	__u64 cookie;
};

LOOP_BODY long tt_prime_cpu(__u32 cpu, struct tt_priming *priming)
{
	const struct tt_here *here;
	struct tt_mibs *mibs;
	__u32 zero = 0;

	here = bpf_map_lookup_percpu_elem(MAP_POINTER(tt_here), &zero, cpu);
	mibs = bpf_map_lookup_percpu_elem(MAP_POINTER(tt_mibs), &priming->cookie, cpu);
	if (!here || !mibs)
		return 0;
	tt_find_mibs(priming->net, tt_percpu_offset(here), mibs);
	for (int i = 0; i < TT_MIB_MAX; i++)
		mibs->at[i] = tt_read_mib(mibs, i);
	mibs->known = 1;
	return 0;
}

/*
 * Look at a namespace for the first time, on all CPUs: before a listener of it
 * hears anything, or before the programs that take differences are attached.
 */
tt_inline void tt_prime(const struct net *net)
{
	struct tt_priming priming = {.net = net};
	const struct tt_mibs *none = ZEROS_AT(tt_no_mibs);

	priming.cookie = BPF_CORE_READ(net, net_cookie);
	if (!none || MAP_GET(tt_mibs, &priming.cookie) ||
	    MAP_PUT(tt_mibs, &priming.cookie, none, BPF_NOEXIST))
		return;
	LOOP(tt_syn_setup.cpus, TT_MOST_CPUS, tt_prime_cpu, &priming);
}

/* What this CPU keeps of a namespace; NULL if this is the first look at it. */
tt_inline struct tt_mibs *tt_get_mibs(const struct net *net)
{
	__u64 cookie =
		CFG(casts) ? tt_cast(struct net, net)->net_cookie : BPF_CORE_READ(net, net_cookie);
	struct tt_mibs *mibs = MAP_GET(tt_mibs, &cookie);

	if (!mibs)
		tt_prime(net);
	return mibs && mibs->known ? mibs : NULL;
}

tt_inline __u64 tt_take_mib(struct tt_mibs *mibs, const enum tt_mib mib)
{
	__u64 now = tt_read_mib(mibs, mib), before = mibs->at[mib];

	/* a run on top of this one may have looked later */
	if (now <= before)
		return 0;
	mibs->at[mib] = now;
	return now - before;
}

/*
 * What moved on this CPU since the last look; false if nothing did that tells of a
 * listener. Of most packets none does, and then two of them say so for all: drops
 * are in ListenDrops whatever other counter they are in. A route that was not
 * found may be another packet's, and a reset another ACK's, so their last look must
 * be at the packet before.
 */
tt_inline bool tt_take_moved(struct tt_mibs *mibs, const bool is_syn, __u64 *moved)
{
	if (!is_syn)
		moved[TT_MIB_EMBRYONICRSTS] = tt_take_mib(mibs, TT_MIB_EMBRYONICRSTS);
	moved[TT_MIB_OUTNOROUTES] = tt_take_mib(mibs, TT_MIB_OUTNOROUTES);
	moved[TT_MIB_LISTENDROPS] = tt_take_mib(mibs, TT_MIB_LISTENDROPS);
	moved[TT_MIB_SYNCOOKIESSENT] = tt_take_mib(mibs, TT_MIB_SYNCOOKIESSENT);
	if (!moved[TT_MIB_LISTENDROPS] && !moved[TT_MIB_SYNCOOKIESSENT])
		return false;
	moved[TT_MIB_LISTENOVERFLOWS] = tt_take_mib(mibs, TT_MIB_LISTENOVERFLOWS);
	moved[TT_MIB_TCPREQQFULLDROP] = tt_take_mib(mibs, TT_MIB_TCPREQQFULLDROP);
	moved[TT_MIB_TCPREQQFULLDOCOOKIES] = tt_take_mib(mibs, TT_MIB_TCPREQQFULLDOCOOKIES);
	return true;
}

#endif
