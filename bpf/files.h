/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a descriptor to its socket, in the process that holds it. */
#ifndef TT_FILES_H
#define TT_FILES_H

#include "compat.h"

/* The TCP socket behind a file, or NULL. */
tt_inline const struct sock *tt_sock_of_file(const struct file *file)
{
	const struct socket *socket;
	const struct sock *sk;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return sk;
}

#ifdef TT_OLD
/* Without bpf_sock_from_file() an iterator has copies alone; READ() is told so. */
#define TT_TRUSTS_WALKED false

tt_inline struct sock *tt_sock_of_walked(struct file *file)
{
	const struct sock *sk = tt_sock_of_file(file);
	__u16 family = 0;

	if (sk)
		bpf_core_read(&family, sizeof(family), &sk->__sk_common.skc_family);
	return family == AF_INET || family == AF_INET6 ? (struct sock *)sk : NULL;
}
#else
#define TT_TRUSTS_WALKED true

/*
 * The same for an iterator, which may follow the pointers as they are. The helper came with Linux
 * commit 4f19cab76136 ("bpf: Add a bpf_sock_from_file helper") (in v5.11).
 */
tt_inline struct sock *tt_sock_of_walked(struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;

	if (!socket)
		return NULL;
	sk = socket->sk;
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return NULL;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return NULL;
	return sk;
}
#endif

/* The TCP socket behind a descriptor of the current task, or NULL. */
tt_inline const struct sock *tt_sock_of_fd(long fd)
{
	const struct task_struct *task = tt_task_btf();
	struct file **fds;
	struct file *file = NULL;

	if (task)
		fds = task->files->fdt->fd;
	else
		fds = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), files, fdt, fd);
	bpf_probe_read_kernel(&file, sizeof(file), fds + fd);
	return tt_sock_of_file(file);
}

/* The same of a number that may be no descriptor at all. */
tt_inline const struct sock *tt_sock_of_number(__u64 number)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return number < BPF_CORE_READ(task, files, fdt, max_fds) ? tt_sock_of_fd(number) : NULL;
}

#endif
