/* placeholder until the first sources of this module arrive */
typedef int tandem_sip_placeholder;
