/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_frame.c - a request to a name server, signed and encoded. See join_frame.h.
 *
 * Happy path: two fields more, the header as JSON, the body. Failure modes: those of join_frame.h.
 */
#include "join_frame.h"

#include "frame.h"

static bool sign(const struct accounts *accounts, struct command *request,
                 char signature[ACCOUNT_SIGNATURE_BYTES + 1])
{
    if (accounts == NULL)
        return true;
    const struct account *account = accounts_only(accounts);
    return command_add(request, TEXT("AccessKey"), account_key(account)) &&
           account_sign(account, request, signature) &&
           command_add(request, TEXT("Signature"),
                       (struct text){signature, ACCOUNT_SIGNATURE_BYTES});
}

bool join_frame(struct broker *broker, const struct accounts *accounts, struct command *request,
                struct buffer *frame)
{
    struct buffer *fields = &broker->fields;
    char signature[ACCOUNT_SIGNATURE_BYTES + 1];
    if (!sign(accounts, request, signature))
        return false;
    const struct header_out header = {
        .type = HEADER_JSON, .code = request->code, .opaque = request->opaque};
    buffer_clear(fields);
    for (uint32_t i = 0; i < request->field_count; i++)
        header_json_field(fields, request->fields[i].name, request->fields[i].value);
    buffer_clear(frame);
    if (buffer_room(frame, FRAME_PREFIX) != NULL)
        frame->used = FRAME_PREFIX;
    header_json_encode(frame, &header, buffer_text(fields));
    const size_t header_bytes = frame->used - FRAME_PREFIX;
    buffer_put_text(frame, request->body);
    if (frame->failed || fields->failed || frame->used > FRAME_MAX)
        return false;
    frame_prefix(frame->data, HEADER_JSON, header_bytes, request->body.bytes);
    return true;
}
