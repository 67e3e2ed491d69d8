/* Prints the sizes and offsets of the header's structs, and what an info of this header's size holds:
 * the bytes behind it must stay as they are. */
#include <stdio.h>
#include <string.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define F(name) JOIN(PREFIX, name)

int main(void) {
    instjit_model *model = NULL;
    struct {
        instjit_info info;
        unsigned char behind[64];
    } held;
    memset(&held, 0xa5, sizeof held);
    held.info.size = sizeof held.info;
    if (F(create)(NULL, 0, NULL, &model) || F(info)(model, &held.info)) return 1;
    for (size_t i = 0; i < sizeof held.behind; i++)
        if (held.behind[i] != 0xa5) return 2;
    if (held.info.size != sizeof held.info) return 3;
    printf("%zu %zu %zu", sizeof(instjit_info), sizeof(instjit_options), sizeof(void *));
#define OFFSET(field) printf(" %zu", offsetof(instjit_info, field));
    FIELDS(OFFSET)
    printf("\n%llu %llu", (unsigned long long)held.info.input_size, (unsigned long long)held.info.output_size);
#ifdef LATER
    printf(" %llu", (unsigned long long)held.info.later);
#endif
    printf("\n");
    return F(destroy)(model);
}
