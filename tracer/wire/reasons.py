"""Why the kernel throws packets away: of each reason the layer, whether it is harmless, a sentence.

The names are the kernel's (include/net/dropreason-core.h), without SKB_DROP_REASON_. Some reasons
are given in many places: of those the function that let go of the packet tells the layer.
"""

from __future__ import annotations

from typing import NamedTuple

LAYERS = ("device", "qdisc", "ip", "netfilter", "tcp", "socket")


class Reason(NamedTuple):
    """What is known of a reason. `layer` is empty where the place decides."""

    layer: str
    meaning: str
    expected: bool = False


_BY_PLACE = {
    "NOT_DROPPED_YET": "no reason: this kernel's code gave none",
    "NOT_SPECIFIED": "the kernel's code gives no reason at this place",
    "NOMEM": "no memory",
    "PKT_TOO_SMALL": "shorter than its headers",
    "SKB_UCOPY_FAULT": "copying it from or to the application's memory failed",
    "HDR_TRUNC": "its headers could not be brought together",
    "RECURSION_LIMIT": "sent through too many virtual devices in turn",
    "INVALID_PROTO": "its protocol does not fit the socket or the tunnel it came by",
}
_DEVICE = {
    "CPU_BACKLOG": "the CPU's queue of packets that came was full: net.core.netdev_max_backlog",
    "XDP": "an XDP program threw it away",
    "UNHANDLED_PROTO": "nobody here takes packets of its protocol",
    "SKB_CSUM": "its checksum could not be computed",
    "SKB_GSO_SEG": "it could not be cut into segments for the device",
    "DEV_HDR": "the device's header could not be made",
    "DEV_READY": "the device was not up",
    "FULL_RING": "the device's ring was full",
    "TAP_FILTER": "the filter of a tun device's reader refused it",
    "TAP_TXFILTER": "the address filter of a tap device refused it",
    "VXLAN_INVALID_HDR": "the header of its VXLAN tunnel is not valid",
    "VXLAN_VNI_NOT_FOUND": "its VXLAN network is not known here",
    "VXLAN_ENTRY_EXISTS": "its sender is known at another end of the VXLAN",
    "MAC_INVALID_SOURCE": "its source hardware address is not valid",
    "NO_TX_TARGET": "the device found no way on for it",
    "TUNNEL_TXINFO": "nothing says where the tunnel ends",
    "LOCAL_MAC": "it came by a tunnel and bears this machine's hardware address",
    "ARP_PVLAN_DISABLE": "the proxy for addresses is off on the device it would go out by",
    "MAC_IEEE_MAC_CONTROL": "its hardware address is reserved for bridges",
    "BRIDGE_INGRESS_STP_STATE": "the bridge's port does not forward: spanning tree",
    "CAN_RX_INVALID_FRAME": "no valid CAN frame",
    "CANFD_RX_INVALID_FRAME": "no valid CAN FD frame",
    "CANXL_RX_INVALID_FRAME": "no valid CAN XL frame",
    "PSP_INPUT": "PSP could not decrypt it, or it should have been encrypted",
    "PSP_OUTPUT": "PSP could not encrypt it",
}
_DEVICE_EXPECTED = {
    "OTHERHOST": "it was for another machine, seen as the device takes all packets",
    "PACKET_SOCK_ERROR": "a capture's copy found no room; the packet itself went on",
}
_QDISC = {
    "TC_EGRESS": "a tc filter threw it away on its way out",
    "TC_INGRESS": "a tc filter threw it away as it came",
    "QDISC_DROP": "the queue of the device was full, or its qdisc decided so",
    "QDISC_OVERLIMIT": "the qdisc's limit of packets or bytes was reached",
    "QDISC_CONGESTED": "the qdisc threw it away to signal congestion",
    "CAKE_FLOOD": "CAKE threw it away: its flow does not react to congestion",
    "FQ_BAND_LIMIT": "its priority's band in FQ was full",
    "FQ_HORIZON_LIMIT": "it was to be sent too far in the future",
    "FQ_FLOW_LIMIT": "its flow's queue in FQ was full",
    "DUALPI2_STEP_DROP": "DualPI2 threw it away: it had waited too long",
    "TC_COOKIE_ERROR": "a tc chain was left and could not be taken up again",
    "TC_CHAIN_NOTFOUND": "the tc chain it was sent to is not there",
    "TC_RECLASSIFY_LOOP": "tc classified it again and again",
}
_IP = {
    "IP_CSUM": "the checksum of its IP header is wrong",
    "IP_INHDR": "its IP header is not valid",
    "IP_RPFILTER": "the way back leads over another device: rp_filter",
    "UNICAST_IN_L2_MULTICAST": "for one machine by IP, for many by its hardware address",
    "XFRM_POLICY": "an IPsec policy refused it",
    "IP_NOPROTO": "no protocol of that number is there",
    "IP_OUTNOROUTES": "no route to its destination",
    "BPF_CGROUP_EGRESS": "a BPF program of the control group refused to send it",
    "IPV6DISABLED": "IPv6 is off on the device",
    "NEIGH_CREATEFAIL": "no room for one more neighbour: net.ipv4.neigh.default.gc_thresh3",
    "NEIGH_FAILED": "the next hop did not tell its hardware address",
    "NEIGH_QUEUEFULL": "too many wait for the next hop's hardware address",
    "NEIGH_DEAD": "the next hop was just forgotten",
    "NEIGH_HH_FILLFAIL": "the next hop's hardware header could not be made",
    "SECURITY_HOOK": "a security module refused it",
    "ICMP_CSUM": "the checksum of its ICMP header is wrong",
    "IP_INADDRERRORS": "its IP addresses are not valid here",
    "IP_INNOROUTES": "it was to be passed on, and there is no route",
    "IP_LOCAL_SOURCE": "it came from outside with an address of this machine",
    "IP_INVALID_SOURCE": "its source is no address of a single machine",
    "IP_LOCALNET": "an address of 127.0.0.0/8 on another device than the loopback",
    "IP_INVALID_DEST": "its destination is no address that can be reached",
    "PKT_TOO_BIG": "longer than the way out takes, and not to be cut",
    "FRAG_REASM_TIMEOUT": "the other pieces of it did not come in time",
    "FRAG_TOO_FAR": "too many pieces of other packets came in between",
    "IPV6_BAD_EXTHDR": "an extension header of its is not valid",
    "IPV6_NDISC_FRAG": "a neighbour's message in pieces",
    "IPV6_NDISC_HOP_LIMIT": "a neighbour's message that came from further away",
    "IPV6_NDISC_BAD_CODE": "a neighbour's message of an unknown sort",
    "IPV6_NDISC_BAD_OPTIONS": "a neighbour's message with bad options",
    "IPV6_NDISC_NS_OTHERHOST": "a neighbour asked for another machine",
    "IP_TUNNEL_ECN": "the tunnel's marks of congestion contradict its own",
}
_IP_EXPECTED = {"DUP_FRAG": "a piece of it had come already"}
_NETFILTER = {"NETFILTER_DROP": "a firewall rule threw it away: nft list ruleset"}
_TCP = {
    "NO_SOCKET": "nobody listens there, and no connection has these addresses",
    "TCP_CSUM": "the checksum of its TCP header and data is wrong",
    "UDP_CSUM": "the checksum of its UDP header and data is wrong",
    "PROTO_MEM": "no room in the receive buffer, or in all of TCP: net.ipv4.tcp_rmem, tcp_mem",
    "TCP_AUTH_HDR": "its TCP signature is there twice, or cut short",
    "TCP_MD5NOTFOUND": "it has no MD5 signature, and its socket asks for one",
    "TCP_MD5UNEXPECTED": "it has an MD5 signature, and its socket knows no key",
    "TCP_MD5FAILURE": "its MD5 signature is wrong",
    "TCP_AONOTFOUND": "it has no TCP-AO signature, and its socket asks for one",
    "TCP_AOUNEXPECTED": "it has a TCP-AO signature, and its socket knows no key",
    "TCP_AOKEYNOTFOUND": "the key of its TCP-AO signature is not known",
    "TCP_AOFAILURE": "its TCP-AO signature is wrong",
    "TCP_FLAGS": "its TCP flags make no sense in the socket's state",
    "TCP_ABORT_ON_DATA": "data came after the application had closed: answered with RST",
    "TCP_ZEROWINDOW": "the receiver had said that it has no room",
    "TCP_OVERWINDOW": "beyond the receive window that was announced",
    "TCP_RFC7323_PAWS": "its timestamp is older than the last one (PAWS)",
    "TCP_RFC7323_TW_PAWS": "its timestamp is older than that of the connection in TIME_WAIT",
    "TCP_RFC7323_TSECR": "it echoes a timestamp that was never sent",
    "TCP_LISTEN_OVERFLOW": "a final ACK found the accept queue full, or made no socket otherwise",
    "TCP_INVALID_SEQUENCE": "its sequence number is outside the window",
    "TCP_INVALID_END_SEQUENCE": "it ends beyond the window",
    "TCP_INVALID_ACK_SEQUENCE": "it acknowledges what was never sent, in answer to a SYN",
    "TCP_INVALID_SYN": "a SYN in the middle of a connection",
    "TCP_FASTOPEN": "a Fast Open socket in its handshake refuses it, as data that came before",
    "TCP_TOO_OLD_ACK": "it acknowledges what was acknowledged long ago",
    "TCP_ACK_UNSENT_DATA": "it acknowledges what was never sent",
    "TCP_OFO_QUEUE_PRUNE": "what came out of order had to go: the receive buffer was full",
    "TCP_OFO_DROP": "no room in the receive buffer for what came out of order",
    "TCP_MINTTL": "its TTL is below what the socket asks for: IP_MINTTL",
}
_TCP_EXPECTED = {
    "TCP_OLD_DATA": "data that had come already",
    "TCP_OFOMERGE": "data out of order that had come already",
    "TCP_RFC7323_PAWS_ACK": "an ACK that was overtaken by a later one",
    "TCP_OLD_SEQUENCE": "nothing new in it: sent again, or a keepalive probe",
    "TCP_RESET": "the peer's RST, which was heeded",
    "TCP_CLOSE": "the connection is over",
    "TCP_OLD_ACK": "an ACK that was overtaken by a later one",
}
_SOCKET = {
    "SOCKET_CLOSE": "its socket was closed",
    "SOCKET_FILTER": "a filter of the socket's threw it away: SO_ATTACH_FILTER",
    "SOCKET_RCVBUFF": "the socket's receive buffer was full",
    "SOCKET_BACKLOG": "too much waited while the application held the socket",
    "UNIX_DISCONNECT": "a unix socket was disconnected",
    "UNIX_SKIP_OOB": "out of band data of a unix socket was passed over",
    "PFMEMALLOC": "kept for emergencies, and its socket is not entitled to that memory",
}
_SOCKET_EXPECTED = {
    "CONSUMED": "it was used up",
    "QUEUE_PURGE": "left over in a queue as its socket, or device, ended",
}


def _section(layer: str, told: dict[str, str], expected: bool = False) -> dict[str, Reason]:
    return {name: Reason(layer, meaning, expected) for name, meaning in told.items()}


REASONS: dict[str, Reason] = {
    **_section("", _BY_PLACE),
    **_section("device", _DEVICE),
    **_section("device", _DEVICE_EXPECTED, expected=True),
    **_section("qdisc", _QDISC),
    **_section("ip", _IP),
    **_section("ip", _IP_EXPECTED, expected=True),
    **_section("netfilter", _NETFILTER),
    **_section("tcp", _TCP),
    **_section("tcp", _TCP_EXPECTED, expected=True),
    **_section("socket", _SOCKET),
    **_section("socket", _SOCKET_EXPECTED, expected=True),
}
# given as a packet comes, before it is noted by which device
ARRIVING = ("CPU_BACKLOG", "XDP")
UNSPECIFIED = ("NOT_DROPPED_YET", "NOT_SPECIFIED")
UNKNOWN = Reason("", "this version knows no sentence for it")
SYN_AGAIN = "a SYN sent again, which has its answer already"
SPENT = "a FIN, ACK or RST for a connection that is over here: heeded, or of no use any more"
MAY_BE_SPENT = (
    "a FIN without data: for a connection that is over here, or lost: where packets are dropped is"
    " hidden, and this kernel does not tell otherwise"
)
BY_SOCKET, BY_FLAGS = 1, 2  # bpf/events.h: enum tt_spent
_RECEIVERS = ("tcp_v4_rcv", "tcp_v6_rcv")
_OF_SPENT = (*UNSPECIFIED, "TCP_RFC7323_TW_PAWS")
# a reason that says something else where that function gives it
_TTL_OVER = "its TTL ran out as it was passed on here: routes that lead in a ring, or a traceroute"
_THERE = {("IP_INHDR", "ip_forward"): _TTL_OVER, ("IP_INHDR", "ip6_forward"): _TTL_OVER}

# by the longest begin of a function's name that fits
PLACES: dict[str, str] = {
    **dict.fromkeys(("tcp_", "__tcp_", "inet_csk", "inet_hash", "cookie_", "tcp6_"), "tcp"),
    **dict.fromkeys(("nf_", "nft_", "ipt_", "ip6t_", "ip_vs_", "xt_", "__nf_"), "netfilter"),
    **dict.fromkeys(("ip_", "__ip_", "ip6_", "__ip6", "ipv6_", "inet6_", "xfrm", "neigh"), "ip"),
    **dict.fromkeys(("icmp", "__icmp", "ipv4_", "dst_", "fib_", "__neigh", "arp_", "ndisc"), "ip"),
    **dict.fromkeys(("sk_", "__sk_", "sock_", "__sock", "inet_sock", "skb_queue_purge"), "socket"),
    **dict.fromkeys(("skb_rbtree_purge", "inet_release", "__skb_queue_purge"), "socket"),
    **dict.fromkeys(("qdisc", "__qdisc", "__dev_xmit_skb", "htb_", "tbf_", "fq_", "sch_"), "qdisc"),
    **dict.fromkeys(("pfifo", "cake_", "hfsc_", "netem", "tcf_", "cls_", "sfq_", "red_"), "qdisc"),
    **dict.fromkeys(("dev_", "__dev_", "netif_", "__netif", "enqueue_to_backlog"), "device"),
    **dict.fromkeys(("veth_", "tun_", "tap_", "loopback_", "br_", "macvlan", "vlan_"), "device"),
    **dict.fromkeys(("vxlan", "bond_", "napi_", "packet_", "tpacket_", "validate_xmit"), "device"),
    **dict.fromkeys(("flush_backlog", "process_backlog", "net_tx_action", "do_xdp"), "device"),
}


def bare(function: str) -> str:
    """A function's name without what the compiler has put behind it: `.cold`, `.isra.0`."""
    return function.partition(".")[0]


def layer_of(reason: str, function: str | None) -> str | None:
    """Of LAYERS: by the reason, else by the function that let go of it; None: neither tells."""
    known = REASONS.get(reason, UNKNOWN).layer
    if known or not function:
        return known or None
    fits = [begin for begin in PLACES if function.startswith(begin)]
    return PLACES[max(fits, key=len)] if fits else None


def is_syn_again(reason: str, function: str | None, syn: bool) -> bool:
    """Whether it is a SYN that was sent again: the request it made was found, and is answered.

    The kernel gives no reason for it (net/ipv4/tcp_minisocks.c: tcp_check_req).
    """
    return syn and reason in UNSPECIFIED and bare(function or "") in _RECEIVERS


def is_spent(reason: str, function: str | None, spent: int) -> bool:
    """Whether it was for what remains of a connection that is over, and nothing is lost with it.

    `spent` says so but for the reason; and, of kernels that tell no socket, for the place. Where
    that is not known either, nobody can say: it is shown: a loss that is hidden is the worse error.
    """
    there = bare(function) in _RECEIVERS if function else spent == BY_SOCKET
    return spent > 0 and reason in _OF_SPENT and there


def is_expected(reason: str, function: str | None, syn: bool, spent: int = 0) -> bool:
    """Whether nothing is lost with it."""
    if is_syn_again(reason, function, syn) or is_spent(reason, function, spent):
        return True
    return REASONS.get(reason, UNKNOWN).expected


def meaning_of(reason: str, function: str | None = None, syn: bool = False, spent: int = 0) -> str:
    """A sentence."""
    if is_syn_again(reason, function, syn):
        return SYN_AGAIN
    if is_spent(reason, function, spent):
        return SPENT
    if spent == BY_FLAGS and not function and reason in _OF_SPENT:
        return MAY_BE_SPENT
    there = _THERE.get((reason, bare(function or "")))
    return there or REASONS.get(reason, UNKNOWN).meaning
