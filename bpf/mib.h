/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel's own counters of a namespace (LINUX_MIB_*), as they moved on this
 * CPU since the last look. A counter that moves in a softirq is moved by what
 * that softirq does: the CPU's own part of it says what became of a packet.
 */
#ifndef TT_MIB_H
#define TT_MIB_H

#include "maps.h"

#define TT_SYN_SPANS 2
#define TT_ACK_SPANS 12

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

const volatile struct tt_syn_setup tt_syn_setup = {};

struct tt_mibs {
	__u64 at[TT_MIB_MAX];
	__u64 known;
};

/* By namespace (its cookie, which is never used again), the values at the last look. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct tt_mibs);
} tt_mibs SEC(".maps");

/* What a CPU keeps for itself. */
struct tt_here {
	__u64 offset; /* of this CPU's part of all per-CPU memory, 0: not found yet */
	tt_mono_ns filled_ns;
	__u64 tokens; /* records that may be sent */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tt_here);
} tt_here SEC(".maps");

/* A pointer of the verifier's as a plain number: read back from the stack. */
tt_inline __u64 tt_as_number(const void *pointer)
{
	const void *volatile kept = pointer;
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), (const void *)&kept);
	return number;
}

/*
 * How far a CPU's part of per-CPU memory is from where per-CPU pointers point.
 * __per_cpu_offset is not always in kallsyms; but a lookup in a per-CPU array
 * adds that same number to the array's own per-CPU pointer.
 */
tt_inline __u64 tt_percpu_offset(const struct tt_here *here)
{
	const void *map = (const void *)tt_as_number(&tt_here);
	__u64 pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer),
			      map + bpf_core_field_offset(struct bpf_array, pptrs));
	return pointer ? tt_as_number(here) - pointer : 0;
}

/* 0 where a family is not there. */
tt_inline __u64 tt_read_ipstat(const void *counters, __u64 offset)
{
	__u64 value = 0;

	if (!counters)
		return 0;
	counters += offset + bpf_core_field_offset(struct ipstats_mib, mibs);
	bpf_probe_read_kernel(&value, sizeof(value),
			      counters + tt_syn_setup.mib[TT_MIB_OUTNOROUTES] * sizeof(value));
	return value;
}

tt_inline void tt_read_mibs(const struct net *net, __u64 offset, __u64 *values)
{
	const void *counters = BPF_CORE_READ(net, mib.net_statistics);

	counters += offset + bpf_core_field_offset(struct linux_mib, mibs);
	for (int i = 0; i < TT_MIB_OUTNOROUTES; i++)
		bpf_probe_read_kernel(&values[i], sizeof(values[i]),
				      counters + tt_syn_setup.mib[i] * sizeof(long));
	values[TT_MIB_OUTNOROUTES] =
		tt_read_ipstat(BPF_CORE_READ(net, mib.ip_statistics), offset) +
		tt_read_ipstat(BPF_CORE_READ(net, mib.ipv6_statistics), offset);
}

static const struct tt_mibs tt_no_mibs = {}; /* not on the stack, which is small */

struct tt_priming {
	const struct net *net;
	__u64 cookie;
};

static long tt_prime_cpu(__u32 cpu, struct tt_priming *priming)
{
	const struct tt_here *here;
	struct tt_mibs *mibs;
	__u32 zero = 0;

	here = bpf_map_lookup_percpu_elem(&tt_here, &zero, cpu);
	mibs = bpf_map_lookup_percpu_elem(&tt_mibs, &priming->cookie, cpu);
	if (!here || !mibs)
		return 0;
	tt_read_mibs(priming->net, tt_percpu_offset(here), mibs->at);
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

	priming.cookie = BPF_CORE_READ(net, net_cookie);
	if (MAP_GET(tt_mibs, &priming.cookie) ||
	    MAP_PUT(tt_mibs, &priming.cookie, &tt_no_mibs, BPF_NOEXIST))
		return;
	bpf_loop(tt_syn_setup.cpus, tt_prime_cpu, &priming, 0);
}

/* What moved on this CPU since the last look; false if this is the first one. */
tt_inline bool tt_take_moved(const struct net *net, struct tt_here *here, __u64 *moved)
{
	__u64 cookie = BPF_CORE_READ(net, net_cookie);
	struct tt_mibs *mibs = MAP_GET(tt_mibs, &cookie);
	__u64 now[TT_MIB_MAX] = {};
	bool known;

	if (!mibs) {
		tt_prime(net);
		return false;
	}
	if (!here->offset)
		here->offset = tt_percpu_offset(here);
	if (!here->offset)
		return false;
	known = mibs->known;
	tt_read_mibs(net, here->offset, now);
	for (int i = 0; i < TT_MIB_MAX; i++) {
		/* a run on top of this one may have looked later */
		moved[i] = now[i] > mibs->at[i] ? now[i] - mibs->at[i] : 0;
		if (moved[i])
			mibs->at[i] = now[i];
	}
	mibs->known = 1;
	return known;
}

#endif
