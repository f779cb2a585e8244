/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One object out of one file a subject: they share maps and settings. */
#include "probes/state.bpf.c"
#include "probes/accept.bpf.c"
#include "probes/uring.bpf.c"
#include "probes/handshake.bpf.c"
#include "probes/request.bpf.c"
#include "probes/unrecorded.bpf.c"
#include "probes/retransmit.bpf.c"
#include "probes/syn_drop.bpf.c"
#include "probes/reset.bpf.c"
#include "probes/answer.bpf.c"
#include "probes/error.bpf.c"
#include "probes/drop.bpf.c"
#include "probes/task.bpf.c"
#include "probes/cgroup.bpf.c"
#include "probes/seed.bpf.c"
#include "probes/open.bpf.c"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Types that no map holds, named here so that the object's BTF tells of them. */
struct tt_wire {
	struct tt_state state;
	struct tt_large large;
	struct tt_task_row task_row;
	struct tt_holder_row holder_row;
	struct tt_sock_row sock_row;
	struct tt_open_row open_row;
	struct tt_listener_row listener_row;
	enum tt_kind kind;
	enum tt_owner_is owner_is;
	enum tt_tcp_state tcp_state;
	enum tt_dwell_is dwell_is;
	enum tt_precision precision;
	enum tt_task_event task_event;
	enum tt_role role;
	enum tt_outcome outcome;
	enum tt_closed_by closed_by;
	enum tt_end end;
	enum tt_reset_way reset_way;
	enum tt_reset_by reset_by;
	enum tt_answers answers;
	enum tt_latency_from latency_from;
	enum tt_cause cause;
	enum tt_stage stage;
	enum tt_answer answer;
	enum tt_resend resend;
	enum tt_seq_is seq_is;
	enum tt_acked acked;
	enum tt_direction direction;
	enum tt_owner_from owner_from;
	enum tt_spent spent;
	enum tt_stack_is stack_is;
	enum tt_filter filter;
	enum tt_mark mark;
	enum tt_slot slot;
	enum tt_mib mib;
};

const struct tt_wire *tt_wire;
