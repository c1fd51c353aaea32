/* list: an intrusive circular doubly linked list. The head is a list_node of its own; an unlinked node points at
 * itself. */
#ifndef TANDEM_BASE_LIST_H
#define TANDEM_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev;
    struct list_node *next;
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list_node *n)
{
    n->prev = n->next = n;
}
static inline bool list_empty(const struct list_node *head)
{
    return head->next == head;
}
static inline bool list_linked(const struct list_node *n)
{
    return n->next != n;
}
static inline void list_append(struct list_node *head, struct list_node *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
static inline void list_remove(struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
/* The first node, unlinked, or NULL. */
static inline struct list_node *list_pop(struct list_node *head)
{
    struct list_node *n = head->next;
    if (n == head) return NULL;
    list_remove(n);
    return n;
}

#endif
