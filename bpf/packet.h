/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a packet of TCP says of itself, where no socket is at hand. */
#ifndef TT_PACKET_H
#define TT_PACKET_H

#include "events.h"
#include "sock.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* What is on the wire: no CO-RE here. */
struct tt_ipv4_header {
	__u8 before[12];
	__be32 source;
	__be32 destination;
};

struct tt_ipv6_header {
	__u8 before[8]; /* version first */
	__u8 source[16];
	__u8 destination[16];
};

struct tt_tcp_header {
	__be16 source;
	__be16 destination;
	__be32 sequence;
	__be32 acknowledged;
	__u8 length;
	__u8 flags;
};

/* The tuple as the one it came to sees it, and the flags. */
tt_inline __u8 tt_read_packet(const struct sk_buff *skb, struct tt_head *head)
{
	const unsigned char *start = BPF_CORE_READ(skb, head);
	const void *network = start + BPF_CORE_READ(skb, network_header);
	struct tt_tcp_header tcp = {};
	__u8 version = 0;

	bpf_probe_read_kernel(&tcp, sizeof(tcp), start + BPF_CORE_READ(skb, transport_header));
	bpf_probe_read_kernel(&version, sizeof(version), network);
	if (version >> 4 == 6) {
		struct tt_ipv6_header ip = {};

		bpf_probe_read_kernel(&ip, sizeof(ip), network);
		__builtin_memcpy(head->laddr, ip.destination, sizeof(head->laddr));
		__builtin_memcpy(head->raddr, ip.source, sizeof(head->raddr));
		head->family = 6;
	} else {
		struct tt_ipv4_header ip = {};

		bpf_probe_read_kernel(&ip, sizeof(ip), network);
		tt_map_v4(head->laddr, ip.destination);
		tt_map_v4(head->raddr, ip.source);
		head->family = 4;
	}
	head->lport = bpf_ntohs(tcp.destination);
	head->rport = bpf_ntohs(tcp.source);
	return tcp.flags;
}

/* A packet on its way up has the route that brought it here; its device is no longer told. */
tt_inline const struct net *tt_net_of(const struct sk_buff *skb)
{
	const struct dst_entry *dst;

	if (CFG(casts)) {
		dst = (const void *)(tt_cast(struct sk_buff, skb)->_skb_refdst & ~SKB_DST_NOREF);
		return dst ? tt_cast(struct dst_entry, dst)->dev->nd_net.net : NULL;
	}
	dst = (const void *)(BPF_CORE_READ(skb, _skb_refdst) & ~SKB_DST_NOREF);
	return dst ? BPF_CORE_READ(dst, dev, nd_net.net) : NULL;
}

#endif
