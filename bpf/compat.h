/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One function per difference between kernels, each with the commit that made
 * it, and the seam between the two back ends: maps, settings and entry points
 * are only named through the macros below, so that another compiler of these
 * sources can give them another meaning.
 */
#ifndef TT_COMPAT_H
#define TT_COMPAT_H

#include "kernel.h"

#define tt_inline static __always_inline

/*
 * TT_OLD: for kernels before v5.12. Their verifier refuses a program for an instruction that it
 * does not know even where none comes to it, so there is an object of its own, of the same sources,
 * without exchanges (Linux commit 5ffa25502b5a ("bpf: Add instructions for atomic_[cmp]xchg") (in
 * v5.12)) and loops by a helper. Neither do its programs ask for a socket's cookie: that came with
 * c5dbb89fc2ac ("bpf: Expose bpf_get_socket_cookie to tracing programs") (in v5.12).
 */
#if defined(TT_BCC) || defined(TT_OLD)
#define TT_NUMBERED /* a socket is known by a number of ours, and found in hashes alone */
#endif

#ifdef TT_BCC
#include "bcc.h"
#else
#define MAP_GET(map, key) bpf_map_lookup_elem(&(map), (key))
#define MAP_PUT(map, key, value, flags) bpf_map_update_elem(&(map), (key), (value), (flags))
#define MAP_DEL(map, key) bpf_map_delete_elem(&(map), (key))
#define MAP_OF(kind, name, key_type, value_type, entries)                                          \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")
#define MAP_WITH(kind, name, key_type, value_type, entries, flags)                                 \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(map_flags, flags);                                                          \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")
/* what is the same for all, beside the programs' stacks */
#define ZEROS(type, name) static const type name = {}
#define ZEROS_AT(name) (&name)
/* a static function called for 0, 1, … below `count`, until it returns 1 */
#ifndef TT_OLD
#define LOOP_BODY static
#define LOOP(count, most, body, context) bpf_loop(count, body, context, 0)
#endif
#define MAP_POINTER(name) ((void *)&(name))
#define MAP_PERF(name)                                                                             \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);                                       \
		__uint(key_size, sizeof(__u32));                                                   \
		__uint(value_size, sizeof(__u32));                                                 \
	} name SEC(".maps")
#define BUFFER_PUT(ctx, buffer, record)                                                            \
	bpf_perf_event_output(ctx, &(buffer), BPF_F_CURRENT_CPU, record, sizeof(*(record)))

/* constant once loaded: a branch not taken is not even loaded */
#define SETTING(type, name) const volatile type name = {}
#define TABLE(type, name) SETTING(type, name)
#define TABLE_AT(name) (&name)
#define CFG(name) (tt_config.name)
/*
 * What user space changes while the programs run. NOW is read at its place, and holds the compiler
 * to it; GET where one reading is as good as another: branches may then be merged, and tt_state
 * takes the verifier 33,900 steps, not 55,800.
 */
#define CONTROL(type, name) type name = {}
#define CONTROL_NOW(name) (*(volatile __u64 *)&tt_control.name)
#define CONTROL_GET(name) (tt_control.name)
#define CONTROL_SET(name) (tt_control.name = 1)
#define CONTROL_COUNT(name) __sync_fetch_and_add(&tt_control.name, 1)

#define PROBE_BTF(tracepoint) SEC("tp_btf/" tracepoint)
#define PROBE_RAW(tracepoint) SEC("raw_tp/" tracepoint)
#define PROBE_FEXIT(function) SEC("fexit/" function)
/* The function that serves a system call: reached through a table, so never inlined. */
#if defined(__TARGET_ARCH_x86)
#define PROBE_FEXIT_CALL(name) PROBE_FEXIT("__x64_sys_" name)
#define PROBE_KRETPROBE_CALL(name) PROBE_KRETPROBE("__x64_sys_" name)
#else
#define PROBE_FEXIT_CALL(name) PROBE_FEXIT("__arm64_sys_" name)
#define PROBE_KRETPROBE_CALL(name) PROBE_KRETPROBE("__arm64_sys_" name)
#endif
#define PROBE_KPROBE(function) SEC("kprobe/" function)
#define PROBE_KRETPROBE(function) SEC("kretprobe/" function)
#define PROBE_TRACEPOINT(name) SEC("tracepoint/" name)
#define PROBE_ITER(name) SEC("iter/" name)
/* a program that takes its arguments as they come; those that take them one by one: BPF_PROG */
#ifndef TT_OLD
#define TT_PROG(name) name(__u64 *ctx)
#define TT_REG(regs, name) ((regs)->name)
#endif

/*
 * Read a field through a pointer the verifier trusts (`trusted`: a plain load)
 * or one that is only a number to it (a checked copy). `trusted` is constant
 * wherever this is inlined, so one of the two roads is dead code.
 */
#define READ(trusted, dst, ptr, field)                                                             \
	do {                                                                                       \
		if (trusted)                                                                       \
			(dst) = (ptr)->field;                                                      \
		else                                                                               \
			bpf_core_read(&(dst), sizeof(dst), &(ptr)->field);                         \
	} while (0)
#endif

#ifdef TT_NUMBERED
#define tt_cast(type, ptr) ((type *)(ptr))
#else
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * A number as a pointer whose fields are plain loads, which are 0 where nothing is: a checked
 * copy costs a call each. Only with CFG(casts); since Linux commit a35b9af4ec2c ("bpf: Add a
 * kfunc for generic type cast") (in v6.2).
 */
#define tt_cast(type, ptr)                                                                         \
	((type *)bpf_rdonly_cast((const void *)(ptr), bpf_core_type_id_kernel(type)))
#endif

/* One field behind a plain number: a load where the kernel has casts, else a
 * checked copy. */
#define TT_LOAD(type, ptr, field)                                                                  \
	({                                                                                         \
		typeof(((type *)0)->field) loaded_;                                                \
		if (CFG(casts))                                                                    \
			loaded_ = tt_cast(type, ptr)->field;                                       \
		else                                                                               \
			bpf_core_read((void *)&loaded_, sizeof(loaded_), &((type *)(ptr))->field); \
		loaded_;                                                                           \
	})

/*
 * Here roads meet again. The verifier walks on from here once for each set of values that it
 * knows of what is still in use: of what was compared on the way, one for each outcome. What is
 * read from memory behind this line may be anything, and one walk serves all.
 */
#define tt_roads_meet() __asm__ volatile("" ::: "memory")

/* A pointer of the verifier's as a plain number: read back from the stack. */
tt_inline __u64 tt_as_number(const void *pointer)
{
	const void *volatile kept = pointer;
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), (const void *)&kept);
	return number;
}

#ifdef TT_BCC /* bcc.h has tt_task_regs() */
tt_inline struct task_struct *tt_task_btf(void)
{
	return (struct task_struct *)bpf_get_current_task();
}
#elif defined(TT_OLD)
#include "old.h"
#else
/*
 * The task that runs, as a pointer whose fields are plain loads; NULL on older
 * kernels. The helper came with Linux commit 3ca1032ab7ab ("bpf: Implement
 * get_current_task_btf and RET_PTR_TO_BTF_ID") (in v5.11).
 */
tt_inline const struct task_struct *tt_task_btf(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return (void *)bpf_get_current_task_btf();
	return NULL;
}

/* What the system call of a task was entered with; NULL where that cannot be asked (before v5.15).
 */
tt_inline const void *tt_task_regs(const struct task_struct *task)
{
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return NULL;
	return (const void *)bpf_task_pt_regs((void *)task);
}
#endif

#ifndef TT_OLD
/* The task that runs, whatever its pointer is good for; and whether that is plain loads. */
#define TT_TRUSTS_TASK true
#define tt_task() tt_task_btf()

#define tt_exchange_if(at, before, value) __sync_val_compare_and_swap(at, before, value)
#define tt_exchange(at, value) __sync_lock_test_and_set(at, value)
#endif

/* The system call a task is in; -1 where that cannot be asked. */
tt_inline long tt_current_call(const struct task_struct *task)
{
	const void *regs = tt_task_regs(task);

	if (!regs)
		return -1;
#if defined(__TARGET_ARCH_x86)
	return TT_REG(((const struct pt_regs___x86 *)regs), orig_ax);
#elif defined(__TARGET_ARCH_arm64)
	return TT_REG(((const struct pt_regs___arm64 *)regs), syscallno);
#else
#error "system call numbers of this architecture are needed here"
#endif
}

/* An argument of the system call a task is in, as it was entered with; 0 where it cannot be asked.
 */
tt_inline unsigned long tt_call_argument(const struct task_struct *task, const int number)
{
	const void *regs = tt_task_regs(task);

	if (!regs)
		return 0;
#if defined(__TARGET_ARCH_x86)
	return number ? TT_REG(((const struct pt_regs___x86 *)regs), si)
		      : TT_REG(((const struct pt_regs___x86 *)regs), di);
#else
	return number ? TT_REG(((const struct pt_regs___arm64 *)regs), regs[1])
		      : TT_REG(((const struct pt_regs___arm64 *)regs), orig_x0);
#endif
}

/* An argument of the function that a kprobe stands on: the first is 0, the last that is here 3. */
tt_inline unsigned long tt_entered_with(const void *ctx, const int number)
{
#if defined(__TARGET_ARCH_x86)
	const struct pt_regs___x86 *regs = ctx;

	return number == 0   ? TT_REG(regs, di)
	       : number == 1 ? TT_REG(regs, si)
	       : number == 2 ? TT_REG(regs, dx)
			     : TT_REG(regs, cx);
#else
	return TT_REG(((const struct pt_regs___arm64 *)ctx), regs[number]);
#endif
}

#ifndef TT_BCC
/* What the function returned whose end a kretprobe stands on. */
tt_inline long tt_left_with(const void *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return TT_REG(((const struct pt_regs___x86 *)ctx), ax);
#else
	return TT_REG(((const struct pt_regs___arm64 *)ctx), regs[0]);
#endif
}

/*
 * Where a task called the kernel from, and its stack and frame pointers then; 0 where
 * that cannot be asked, and where tracer/attribution/call_frames.py knows no way on.
 */
tt_inline void tt_read_registers(const struct task_struct *task, __u64 *ip, __u64 *sp, __u64 *bp)
{
#if defined(__TARGET_ARCH_x86)
	const struct pt_regs___x86 *regs = tt_task_regs(task);

	if (!regs)
		return;
	*ip = TT_REG(regs, ip);
	*sp = TT_REG(regs, sp);
	*bp = TT_REG(regs, bp);
#endif
}
#endif

/* Whether the task that runs is in connect(). */
tt_inline bool tt_is_connecting(void)
{
	const struct task_struct *task = tt_task();

#if defined(__TARGET_ARCH_x86)
	return task && tt_current_call(task) == 42;
#else
	return task && tt_current_call(task) == 203;
#endif
}

/*
 * Whether a task that runs a socket's close does so on its own account. One
 * that only looked (read /proc/PID/fdinfo, listed /proc/PID/fd) may be the last
 * to let go of a file that its owner closed meanwhile: it owns nothing.
 */
tt_inline bool tt_closes_itself(const struct task_struct *task)
{
	unsigned int flags;

	if (!task)
		return true;
	READ(TT_TRUSTS_TASK, flags, task, flags);
	/* a worker of io_uring is a thread of who asked, whatever call that was in */
	if (flags & (PF_EXITING | PF_IO_WORKER))
		return true;
	switch (tt_current_call(task)) {
	case -1:
#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_64.tbl */
	case 3:		       /* close */
	case 33:	       /* dup2 */
	case 48:	       /* shutdown */
	case 59:	       /* execve */
	case 60:	       /* exit */
	case 231:	       /* exit_group */
	case 292:	       /* dup3 */
	case 322:	       /* execveat */
#else			       /* include/uapi/asm-generic/unistd.h */
	case 24:  /* dup3 */
	case 57:  /* close */
	case 93:  /* exit */
	case 94:  /* exit_group */
	case 210: /* shutdown */
	case 221: /* execve */
	case 281: /* execveat */
#endif
	case 426: /* io_uring_enter */
	case 436: /* close_range */
		return true;
	default:
		return false;
	}
}

/*
 * Whether the segment at tcp_retransmit_skb was not sent after all; older kernels tell of
 * those that were alone. The third argument came with Linux commit ad892e912b84 ("tcp: trace
 * retransmit failures in tcp_retransmit_skb") (in v6.17), and must not be read before.
 */
tt_inline bool tt_was_not_resent(const __u64 *ctx)
{
	if (bpf_core_field_exists(struct trace_event_raw_tcp_retransmit_skb, err))
		return (int)*(volatile const __u64 *)(ctx + 2);
	return false;
}

/*
 * Why a packet was thrown away, at kfree_skb; 0 where that is not told: since Linux commit
 * c504e5c2f964 ("net: skb: introduce kfree_skb_reason()") (in v5.17).
 */
tt_inline __u32 tt_freed_why(const struct bpf_raw_tracepoint_args *ctx)
{
	if (bpf_core_field_exists(struct trace_event_raw_kfree_skb, reason))
		return ctx->args[2];
	return 0;
}

/*
 * Whether kfree_skb tells which socket a packet was meant for: since Linux commit c53795d48ee8
 * ("net: add rx_sk to trace_kfree_skb") (in v6.11).
 */
tt_inline bool tt_freed_for_is_told(void)
{
#ifdef TT_BCC /* whose headers do not say how many arguments there are */
	return false;
#else
	return bpf_core_field_exists(struct trace_event_raw_kfree_skb, rx_sk);
#endif
}

/* The socket that a packet thrown away was meant for, at kfree_skb; NULL where that is not told. */
tt_inline const struct sock *tt_freed_for(const struct bpf_raw_tracepoint_args *ctx)
{
	return tt_freed_for_is_told() ? (const struct sock *)ctx->args[3] : NULL;
}

#ifndef TT_BCC /* what follows is asked for by programs that are not compiled there */
/*
 * Whether a connection's time stamps count us, not ms: since Linux commit 614e8316aa4c ("tcp: add
 * support for usec resolution in TCP TS values") (in v6.7).
 */
tt_inline bool tt_stamps_are_us(const struct tcp_sock *tp)
{
	return bpf_core_field_exists(tp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD(tp, tcp_usec_ts);
}

/*
 * Whether a request of this listener may be given to another one, where it goes on as a copy
 * (reuseport_migrate_sock()): since Linux commit f9ac779f881c ("net: Introduce
 * net.ipv4.tcp_migrate_req.") (in v5.14).
 */
tt_inline bool tt_may_migrate(const struct sock *listener)
{
	__u8 migrates = 0;

	if (!bpf_core_field_exists(struct netns_ipv4, sysctl_tcp_migrate_req))
		return false;
	BPF_CORE_READ_INTO(&migrates, listener, __sk_common.skc_net.net,
			   ipv4.sysctl_tcp_migrate_req);
	return migrates;
}

/*
 * Why a RST is sent, at tcp_send_reset; `untold` where that is not told: the argument came with
 * Linux commit b533fb9cf4f7 ("rstreason: make it work in trace world") (in v6.10).
 */
tt_inline __u32 tt_reset_why(const __u64 *ctx, __u32 untold)
{
	if (bpf_core_type_exists(struct trace_event_raw_tcp_send_reset))
		return *(volatile const __u64 *)(ctx + 2);
	return untold;
}

/*
 * Whether that tells of what a timer broke off, too: since Linux commit "tcp: rstreason: introduce
 * SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT for active reset" (in v6.12).
 */
tt_inline bool tt_reset_why_is_told(void)
{
	return bpf_core_enum_value_exists(enum sk_rst_reason, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT);
}

tt_inline bool tt_is_for_keepalive(__u32 reason)
{
	return tt_reset_why_is_told() &&
	       reason ==
		       bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT);
}

/* The same of "tcp: rstreason: introduce SK_RST_REASON_TCP_ABORT_ON_MEMORY for active reset". */
tt_inline bool tt_is_for_memory(__u32 reason)
{
	return bpf_core_enum_value_exists(enum sk_rst_reason, SK_RST_REASON_TCP_ABORT_ON_MEMORY) &&
	       reason == bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_TCP_ABORT_ON_MEMORY);
}

/*
 * The file in a slot of an io_uring's own table; NULL: none, or this kernel's types do not lead
 * there. They do since Linux commit "io_uring/rsrc: unify file and buffer resource tables" (in
 * v6.13).
 */
tt_inline const struct file *tt_file_of_slot(const struct io_ring_ctx *ring, __u32 slot)
{
	struct io_rsrc_node **nodes, *node = NULL;
	unsigned long file;

	if (!bpf_core_field_exists(struct io_file_table, data.nodes) ||
	    !bpf_core_field_exists(struct io_rsrc_node, file_ptr))
		return NULL;
	if (slot >= BPF_CORE_READ(ring, file_table.data.nr))
		return NULL;
	nodes = BPF_CORE_READ(ring, file_table.data.nodes);
	bpf_probe_read_kernel(&node, sizeof(node), nodes + slot);
	if (!node)
		return NULL;
	file = BPF_CORE_READ(node, file_ptr);
	return (const struct file *)(file & ~7UL); /* its lowest bits are flags */
}

/* What io_uring_complete tells: which form, user space knows (tracer/kernel/uring.py). */
enum tt_uring_form { TT_URING_UNKNOWN, TT_URING_ANSWER, TT_URING_PARTS };

/*
 * The answer to a request, at io_uring_complete; false where what is told is not known. The
 * arguments are ring, request, answer; before Linux commit "io_uring: clean up cqe trace points"
 * (in v6.13) ring, request, user_data, result, flags.
 */
tt_inline bool tt_read_answer(const struct bpf_raw_tracepoint_args *ctx, __u32 form, int *result,
			      __u32 *flags)
{
	const struct io_uring_cqe *cqe = (const void *)ctx->args[2];

	if (form == TT_URING_ANSWER) {
		*result = BPF_CORE_READ(cqe, res);
		*flags = BPF_CORE_READ(cqe, flags);
		return true;
	}
	if (form != TT_URING_PARTS)
		return false;
	*result = ctx->args[3];
	*flags = ctx->args[4];
	return true;
}

/*
 * Where an accept of io_uring puts its socket: 0: a descriptor, else a slot, counted from 1. Since
 * Linux commit "io_uring: accept directly into fixed file table" (in v5.15).
 */
tt_inline __u32 tt_slot_wanted(const struct io_kiocb *req)
{
	__u32 slot = 0;

	if (bpf_core_field_exists(struct io_accept, file_slot))
		bpf_core_read(&slot, sizeof(slot), &((const struct io_accept *)req)->file_slot);
	return slot;
}
#endif

#endif
