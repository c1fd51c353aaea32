/* message: pieces of SIP messages for the tests of this folder. */
#ifndef TANDEM_TESTS_SIP_MESSAGE_H
#define TANDEM_TESTS_SIP_MESSAGE_H

#define M_INVITE "INVITE sip:bob@example.org SIP/2.0\r\n"
#define M_VIA "Via: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK77;rport\r\n"
#define M_FROM "From: \"Alice; <a>\" <sip:alice@example.org;tag=not>;tag=a1\r\n"
#define M_TO "To: <sip:bob@example.org>\r\n"
#define M_CALL_ID "Call-ID: 123@10.0.0.1\r\n"
#define M_CSEQ "CSeq: 7 INVITE\r\n"
#define M_MUST M_VIA M_FROM M_TO M_CALL_ID M_CSEQ
#define M_ALL M_INVITE M_MUST
#define M_END "\r\n"

/* A usual INVITE, as a phone sends it, with a body. */
#define M_PHONE                                                                                                        \
    "INVITE sip:8123@10.1.0.1:5060;transport=udp SIP/2.0\r\n"                                                          \
    "Via: SIP/2.0/UDP 10.1.0.20:5062;branch=z9hG4bK-524287-1---7d3f1c9a2b4e6f80;rport\r\n"                             \
    "Max-Forwards: 70\r\n"                                                                                             \
    "Contact: <sip:6001@10.1.0.20:5062;transport=udp;ob>;+sip.instance=\"<urn:uuid:0000-1>\"\r\n"                      \
    "To: <sip:8123@example.org>\r\n"                                                                                   \
    "From: \"Front Desk\" <sip:6001@example.org>;tag=5c1f0a7e\r\n"                                                     \
    "Call-ID: 84711NmQ3YTQ3ZjE2NzY0\r\n"                                                                               \
    "CSeq: 1 INVITE\r\n"                                                                                               \
    "Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE\r\n"                            \
    "Content-Type: application/sdp\r\n"                                                                                \
    "Supported: replaces, outbound, 100rel, timer\r\n"                                                                 \
    "User-Agent: Phone 1.0\r\n"                                                                                        \
    "Content-Length: 128\r\n"                                                                                          \
    "\r\n"                                                                                                             \
    "v=0\r\no=- 1 1 IN IP4 10.1.0.20\r\ns=-\r\nc=IN IP4 10.1.0.20\r\nt=0 0\r\n"                                        \
    "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"

#endif
