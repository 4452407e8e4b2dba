/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * no_thread.c -- preloaded into the mini-broker: libuv gets no thread from the system.
 */
int uv_thread_create(void *thread, void (*entry)(void *argument), void *argument);

int uv_thread_create(void *thread, void (*entry)(void *argument), void *argument)
{
    (void)thread;
    (void)entry;
    (void)argument;
    return -11; /* UV_EAGAIN */
}
