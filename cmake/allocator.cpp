// jemalloc's settings of a program (jemalloc(3), TUNING); MALLOC_CONF in the environment comes after them.
// Huge pages: a node's many small objects lie far apart, and a miss of the TLB costs a walk through two page tables on
// a virtual machine.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "thp:always";
}
