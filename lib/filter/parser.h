/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parser.h -- the grammar of filters, and every error that a text can have
 *
 *   condition  =  condition OR condition | condition AND condition | NOT condition
 *              |  ( condition ) | comparison           NOT binds closest, then AND, then OR
 *   comparison =  operand (= | <> | < | <= | > | >=) operand
 *              |  operand [NOT] BETWEEN operand AND operand
 *              |  header [NOT] IN ( constant , ... )
 *              |  header [NOT] (CONTAINS | STARTSWITH | ENDSWITH) text
 *              |  header IS [NOT] NULL
 *              |  header | TRUE | FALSE | NULL
 *
 * Owns: nothing beyond the call.
 * Invariants: 1. what is still open is on a stack of its own, of fixed size: no recursion; 2. on
 *       failure the error names the column, 1 being the first byte, and what was expected there.
 * Failure modes: COMMITLOG_EINVAL, COMMITLOG_ETOOBIG; the draft is then only to be freed.
 */
#ifndef CLG_FILTER_PARSER_H
#define CLG_FILTER_PARSER_H

#include "commitlog.h"
#include "filter/program.h"

CLG_MUST_CHECK int clg_filter_parse(struct clg_filter_draft *draft, const void *text,
                                    uint32_t bytes, struct commitlog_error *err);

#endif
