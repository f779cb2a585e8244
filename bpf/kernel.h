/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel structs and fields that are read, and nothing else. libbpf moves
 * every access to where the running kernel keeps the field (CO-RE); a field
 * that some kernel lacks is asked for in compat.h before it is read.
 */
#ifndef TT_KERNEL_H
#define TT_KERNEL_H

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

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

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
	unsigned long skc_flags;
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

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u16 sk_protocol;
	struct socket *sk_socket;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 srtt_us;
	int linger2;
	struct list_head tsorted_sent_queue;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
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

/* what a system call was entered with; the name before ___ is the kernel's */
struct pt_regs___x86 {
	unsigned long orig_ax;
};

struct pt_regs___arm64 {
	int syscallno;
};

struct signal_struct {
	atomic_t live;
};

struct task_struct {
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

struct trace_event_raw_sys_exit {
	long ret;
};

/* since Linux commit 92ef0fd55ac8 ("net: change proto and proto_ops accept type") (in v6.10) */
struct proto_accept_arg {
	int err;
};

#pragma clang attribute pop

#define IPPROTO_TCP 6
#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 0xf000
#define S_IFSOCK 0xc000
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000	  /* include/linux/sched.h, unchanged since v2.6 */
#define NSEC_PER_TICK 10000000ULL /* USER_HZ is 100 on x86 and arm64 */

/* enum sock_flags (include/net/sock.h): the first two values have never moved */
#define SOCK_DEAD 0
#define SOCK_DONE 1

#endif
