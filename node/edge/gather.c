#include "node/edge/gather.h"

void gather_note(struct gather *g, uint32_t datagrams, uint64_t now_ms)
{
    uint64_t window = now_ms / GATHER_WINDOW_MS;
    if (window != g->window) {
        g->before = window == g->window + 1 ? g->count : 0;
        g->window = window;
        g->count = 0;
    }
    g->count += datagrams;
    g->turn += datagrams;
}

unsigned gather_pause_us(struct gather *g)
{
    uint32_t turn = g->turn;
    g->turn = 0;
    return turn > 0 && turn < GATHER_BATCH && g->before >= GATHER_DENSE ? GATHER_US : 0;
}
