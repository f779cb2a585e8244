/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where the headers of a packet lie that is looked at wherever it is, and by
 * what device it came.
 */
#ifndef TT_HEADERS_H
#define TT_HEADERS_H

#include "packet.h"
#include "sock.h"

#define TT_NO_HEADER 0xffff /* of an offset: not set yet */
#define TT_SAME_HASH 8	    /* devices looked at to find one by its index: 256 begin a list each */

/* The headers of IP in full, as they are on the wire: no CO-RE here. */
struct tt_whole_ipv4 {
	__u8 version_length;
	__u8 service;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct tt_whole_ipv6 {
	__u8 version;
	__u8 before[3];
	__be16 payload;
	__u8 protocol;
	__u8 hops;
	__u8 source[16];
	__u8 destination[16];
};

tt_inline const struct dst_entry *tt_dst_of(const struct sk_buff *skb)
{
	return (const void *)(TT_LOAD(struct sk_buff, skb, _skb_refdst) & ~SKB_DST_NOREF);
}

/* Whether its route ends here: it is not one to be passed on. */
tt_inline bool tt_is_for_us(const struct sk_buff *skb, tt_family family)
{
	const struct dst_entry *dst = tt_dst_of(skb);

	if (!dst)
		return false;
	if (family == 6)
		return TT_LOAD(struct rt6_info, dst, rt6i_flags) & RTF_LOCAL;
	return TT_LOAD(struct rtable, dst, rt_type) == RTN_LOCAL;
}

/* The device of this index, in a namespace; NULL if it is not found. */
tt_inline const struct net_device *tt_find_device(const struct net *net, __u32 ifindex)
{
	const struct hlist_head *heads = TT_LOAD(struct net, net, dev_index_head);
	const struct hlist_node *node;
	const struct net_device *device;

	if (!heads || !ifindex)
		return NULL;
	/* include/linux/netdevice.h: NETDEV_HASHENTRIES */
	node = TT_LOAD(struct hlist_head, heads + (ifindex & 255), first);
	for (int i = 0; i < TT_SAME_HASH && node; i++) {
		device = (const void *)node - bpf_core_field_offset(struct net_device, index_hlist);
		if ((__u32)TT_LOAD(struct net_device, device, ifindex) == ifindex)
			return device;
		node = TT_LOAD(struct hlist_node, node, next);
	}
	return NULL;
}

/* The headers of a packet, as far as they are looked at. */
struct tt_headers {
	union {
		struct tt_whole_ipv4 v4;
		struct tt_whole_ipv6 v6;
	};
	const unsigned char *network;
	__u32 room;	 /* bytes of the packet in one piece, from `network` on */
	__u32 transport; /* where TCP's header begins, from there; 0: it is not in
			    this packet */
	tt_family family;
};

/* False if it is no packet of TCP. Extension headers of IPv6 are not followed.
 */
tt_inline bool tt_read_headers(const struct sk_buff *skb, __be16 protocol,
			       struct tt_headers *headers)
{
	__u16 offset = TT_LOAD(struct sk_buff, skb, network_header);
	__u32 tail = TT_LOAD(struct sk_buff, skb, tail);

	if (offset == TT_NO_HEADER || offset >= tail)
		return false;
	headers->network = TT_LOAD(struct sk_buff, skb, head) + offset;
	headers->room = tail - offset;
	if (bpf_probe_read_kernel(&headers->v6, sizeof(headers->v6), headers->network))
		return false;
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		headers->family = 6;
		headers->transport = sizeof(headers->v6);
		return headers->v6.version >> 4 == 6 && headers->v6.protocol == IPPROTO_TCP;
	}
	headers->family = 4;
	headers->transport = (headers->v4.version_length & 15) * 4;
	if (headers->v4.fragment & bpf_htons(0x1fff))
		headers->transport = 0; /* a later piece of one */
	return headers->v4.version_length >> 4 == 4 && headers->v4.protocol == IPPROTO_TCP;
}

#endif
