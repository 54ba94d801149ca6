// How jemalloc is set, which reads this name as it starts. MALLOC_CONF in the environment has the last word.
// Without a thread of its own jemalloc gives memory back only while memory is asked for, so a server that has become idle would keep what it freed for good.
extern "C" {
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000";
}
