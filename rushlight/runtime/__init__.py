"""Running generated code: buffers, compiling and caching it, native calls, the thread pool."""
