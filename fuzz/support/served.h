/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * served.h -- a message that a store of any kind has given, held to the files it lies in.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_SERVED_H
#define FUZZ_SUPPORT_SERVED_H

#include <stdbool.h>

#include "bundle.h"
#include "commitlog.h"

/* The checks of its record hold, and it is what lies there; through a reference also those of the
 * original, which is the one that is meant. `writing`: what is not in the file yet is passed over.
 */
void fuzz_served(const struct fuzz_bundle *seen, bool writing,
                 const struct commitlog_message *message);

#endif
