/* limits: the caps that several modules share. Everything that crosses a wire or a file is bounded by one of them. */
#ifndef TANDEM_BASE_LIMITS_H
#define TANDEM_BASE_LIMITS_H

#define LIMIT_NAME 63                /* characters of a node, site, trunk or account name: [A-Za-z0-9._-] */
#define LIMIT_NUMBER 32              /* characters of a plan number */
#define LIMIT_URI 512                /* characters of a contact, address or URI that we store */
#define LIMIT_TEXT 1024              /* characters of a note, message or reason */
#define LIMIT_HOST 255               /* characters of a host name */
#define LIMIT_LIST 256               /* items of a list inside one plan object (numbers of an account, trust ranges) */
#define LIMIT_OBJECT 65536           /* bytes of one packed plan object */
#define LIMIT_CHANGE_OPS 2000000     /* operations of one change-set */
#define LIMIT_MESH_FRAME 1048576     /* bytes of one mesh message (NNG_OPT_RECVMAXSZ) */
#define LIMIT_MESH_CHUNK 262144      /* bytes of plan or state data that a sender puts into one */
#define LIMIT_CONTROL_FRAME 67108864 /* bytes of one control frame */
#define LIMIT_MEMBERS 5000           /* nodes of one cluster */
#define LIMIT_SIP_MESSAGE 16384      /* bytes, default cap of one SIP message; LIMIT_SIP_HARD at most */
#define LIMIT_SIP_HARD 65535

#endif
