/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel structs and fields that are read, and nothing else. libbpf moves
 * every access to where the running kernel keeps the field (CO-RE); a field
 * that some kernel lacks is asked for in compat.h before it is read.
 */
#ifndef TT_KERNEL_H
#define TT_KERNEL_H

#ifndef TT_BCC
#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

struct ns_common {
	unsigned int inum;
};

struct net;

typedef struct {
	struct net *net;
} possible_net_t;

struct netns_core {
	int sysctl_somaxconn;
};

struct netns_ipv4 {
	__u8 sysctl_tcp_syncookies;
	__u8 sysctl_tcp_abort_on_overflow;
	/* since Linux commit f9ac779f881c ("net: Introduce net.ipv4.tcp_migrate_req.") (in v5.14)
	 */
	__u8 sysctl_tcp_migrate_req;
	int sysctl_max_syn_backlog;
	int sysctl_tcp_keepalive_time;
	int sysctl_tcp_keepalive_intvl;
	__u8 sysctl_tcp_keepalive_probes; /* an int on older kernels */
};

struct fastopen_queue {
	int max_qlen;
};

struct request_sock_queue {
	__u8 rskq_defer_accept;
	atomic_t qlen;
	struct fastopen_queue fastopenq;
	struct request_sock *rskq_accept_head;
};

struct linux_mib {
	unsigned long mibs[1];
};

struct ipstats_mib {
	__u64 mibs[1];
};

struct netns_mib {
	struct ipstats_mib *ip_statistics;
	struct ipstats_mib *ipv6_statistics;
	struct linux_mib *net_statistics; /* per CPU */
};

struct net {
	struct ns_common ns;
	__u64 net_cookie;
	struct netns_mib mib;
	struct hlist_head *dev_index_head;
	struct netns_core core;
	struct netns_ipv4 ipv4;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuseport : 1;
	unsigned long skc_flags;
	struct sock *skc_listener; /* of a request: the same place, what rsk_listener stands for */
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct list_head {
	struct list_head *next;
};

struct socket {
	struct sock *sk;
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_err;
	int sk_err_soft;
	int sk_rcvbuf;
	__u8 sk_userlocks : 4;
	kuid_t sk_uid;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u16 sk_protocol;
	struct socket *sk_socket;
	atomic_t sk_drops;
	__u8 sk_shutdown;
	unsigned long sk_lingertime;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct tcp_congestion_ops {
	char name[16];
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	const struct tcp_congestion_ops *icsk_ca_ops;
	__u32 icsk_rto; /* jiffies */
	__u8 icsk_ca_state : 5;
	__u8 icsk_pending;
	struct {
		__u32 lrcvtime;
	} icsk_ack;
};

struct minmax_sample {
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u32 segs_in;
	__u32 segs_out;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u32 rcv_nxt;
	__u32 rcv_wnd;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_cwnd;
	__u32 mss_cache;
	__u32 srtt_us;
	struct minmax rtt_min;
	__u32 total_retrans;
	__u32 lsndtime;
	__u32 rcv_tstamp;
	__u32 retrans_stamp;
	__u32 chrono_start;
	__u32 chrono_stat[3];
	__u8 chrono_type; /* two bits of a byte on older kernels */
	__u8 tcp_usec_ts : 1;
	__u8 repair : 1;
	unsigned int keepalive_time;
	unsigned int keepalive_intvl;
	__u8 keepalive_probes;
	int linger2;
	struct list_head tsorted_sent_queue;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
};

struct timer_list {
	void (*function)(struct timer_list *);
};

struct request_sock {
	struct sock_common __req_common;
	__u8 num_retrans;
	__u8 num_timeout : 7;
	struct timer_list rsk_timer;
	struct sock *sk;
};

struct inet_request_sock {
	struct request_sock req;
	__u16 acked : 1;
};

struct tcp_request_sock {
	struct inet_request_sock req;
	__u64 snt_synack;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct net_device {
	possible_net_t nd_net;
	int ifindex;
	char name[16];
	struct hlist_node index_hlist; /* of those with an index of the same hash */
};

struct dst_entry {
	struct net_device *dev;
};

/* what TCP keeps in the control block of a packet of its own: in sk_buff.cb */
struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
	union {
		struct {
			__u16 tcp_gso_segs;
		};
	};
	__u8 tcp_flags; /* wider by now: the lower half */
};

struct rtable {
	struct dst_entry dst;
	__u16 rt_type;
};

struct rt6_info {
	struct dst_entry dst;
	__u32 rt6i_flags;
};

struct sk_buff {
	char cb[48];
	unsigned long _skb_refdst;
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	int skb_iif;
	__be16 protocol;
	__u16 queue_mapping;
	unsigned int tail;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
};

/* the kernel's side of an array map */
struct bpf_array {
	void *pptrs[1];
};

struct kernfs_node {
	__u64 id;
	const char *name;
};

struct cgroup_root {
	int hierarchy_id; /* 0: the unified one */
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

/* a socket's own inode lies behind it */
struct socket_alloc {
	struct inode vfs_inode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* what a system call, or a function, was entered with; the name before ___ is the kernel's */
struct pt_regs___x86 {
	unsigned long cs;
	unsigned long bp;
	unsigned long ax;
	unsigned long orig_ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long di;
	unsigned long si;
	unsigned long ip;
	unsigned long sp;
};

struct pt_regs___arm64 {
	__u64 pstate;
	int syscallno;
	__u64 regs[31];
	__u64 orig_x0;
};

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	void *stack;
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	char comm[16];
	struct css_set *cgroups;
	struct files_struct *files;
	struct signal_struct *signal;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

/* of io_uring: a request, and its answer */
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u32 flags; /* wider by now: the lower half */
};

struct io_uring_cqe {
	__s32 res;
	__u32 flags;
};

/* the same memory as the struct io_kiocb of an accept */
struct io_accept {
	__u32 file_slot;
};

/* a ring's own descriptors: "io_uring/rsrc: unify file and buffer resource tables" (in v6.13) */
struct io_rsrc_node {
	unsigned long file_ptr;
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

struct io_ring_ctx {
	struct io_file_table file_table;
};

struct trace_event_raw_sys_exit {
	long ret;
};

/* since Linux commit b533fb9cf4f7 ("rstreason: make it work in trace world") (in v6.10) */
struct trace_event_raw_tcp_send_reset {
	int reason;
};

/* the values that are asked for; what they are is the running kernel's */
enum sk_rst_reason {
	SK_RST_REASON_TCP_ABORT_ON_MEMORY,
	SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT,
};

/* since Linux commit ad892e912b84 ("tcp: trace retransmit failures in tcp_retransmit_skb") (in
 * v6.17)
 */
struct trace_event_raw_tcp_retransmit_skb {
	int err;
};

enum skb_drop_reason { TT_REASON_UNREAD }; /* its values are read from the kernel's own types */

/* `reason` since Linux commit c504e5c2f964 ("net: skb: introduce kfree_skb_reason()") (in v5.17),
 */
/* `rx_sk` since Linux commit c53795d48ee8 ("net: add rx_sk to trace_kfree_skb") (in v6.11) */
struct trace_event_raw_kfree_skb {
	enum skb_drop_reason reason;
	void *rx_sk;
};

#pragma clang attribute pop
#endif /* under BCC: all of the kernel's own */

#define SKB_DST_NOREF 1UL   /* include/linux/skbuff.h */
#define IORING_OP_ACCEPT 13 /* include/uapi/linux/io_uring.h */
#define IORING_CQE_F_BUFFER 1U
#define IORING_FILE_INDEX_ALLOC (~0U)
#define REQ_F_FIXED_FILE 1U /* io_uring_types.h: IOSQE_FIXED_FILE, which is ABI */
#define IPPROTO_TCP 6
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define RTN_LOCAL 2	      /* include/uapi/linux/rtnetlink.h */
#define RTF_LOCAL 0x80000000U /* include/uapi/linux/ipv6_route.h */
#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 0xf000
#define S_IFSOCK 0xc000
#define EPERM 1
#define EINTR 4
#define ENOMEM 12
#define EACCES 13
#define EEXIST 17
#define ENFILE 23
#define EMFILE 24
#define EPIPE 32
#define EADDRNOTAVAIL 99
#define ENETDOWN 100
#define ENETUNREACH 101
#define ECONNABORTED 103
#define ECONNRESET 104
#define ENOBUFS 105
#define EISCONN 106
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113
#define EALREADY 114
#define EINPROGRESS 115
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516
#define ICSK_TIME_LOSS_PROBE 5 /* include/net/inet_connection_sock.h, unchanged since v3.10 */
#define TCP_CA_RECOVERY 3      /* enum tcp_ca_state, include/uapi/linux/tcp.h */
#define TCP_CA_LOSS 4
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010	  /* in that place since v5.12: before it was a kernel thread */
#define PF_KTHREAD 0x00200000	  /* include/linux/sched.h, unchanged since v2.6 */
#define NSEC_PER_TICK 10000000ULL /* USER_HZ is 100 on x86 and arm64 */

/* enum sock_flags (include/net/sock.h): the first four values have never moved */
#define SOCK_DEAD 0
#define SOCK_DONE 1
#define SOCK_KEEPOPEN 3
#define SOCK_LINGER 4

#define RCV_SHUTDOWN 1 /* include/net/sock.h */
#define SHUTDOWN_MASK 3

#endif
