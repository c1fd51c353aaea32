/* placeholder until the first sources of this module arrive */
typedef int tandem_repl_placeholder;
