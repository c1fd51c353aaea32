/* placeholder until the first sources of this module arrive */
typedef int tandem_store_placeholder;
