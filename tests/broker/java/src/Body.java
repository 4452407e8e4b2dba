// SPDX-License-Identifier: BSD-2-Clause
//
// Body.java - the body of message number `index` of a seed: "SEED:INDEX:" and bytes that follow from
// these two, so that who receives it can tell which it is and whether each byte of it is right.
// body() in messages.py, bodyOf() in messages.js and bodyOf in messages.go make the same bytes.

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Arrays;

final class Body {
    private static final int BLOCK = 32;
    private static final int REPEATS = 8;

    private Body() {
    }

    static byte[] hash(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Of a length below max; of just the length -max if max is negative. */
    static byte[] of(String seed, long index, int max) {
        byte[] head = (seed + ":" + index + ":").getBytes(StandardCharsets.US_ASCII);
        byte[] first = hash((seed + ":" + index + ":0").getBytes(StandardCharsets.US_ASCII));
        long drawn = ((first[0] & 0xffL) << 24) | ((first[1] & 0xffL) << 16)
                | ((first[2] & 0xffL) << 8) | (first[3] & 0xffL);
        int length = max < 0 ? -max : (int) (drawn % Math.max(1, max));
        byte[] body = Arrays.copyOf(head, head.length + length);
        byte[] block = first;
        for (int at = 0, number = 0; at < length; at += BLOCK, number++) {
            if (number % REPEATS == 0) {
                block = hash((seed + ":" + index + ":" + number / REPEATS)
                        .getBytes(StandardCharsets.US_ASCII));
            }
            System.arraycopy(block, 0, body, head.length + at, Math.min(BLOCK, length - at));
        }
        return body;
    }

    static String sum(byte[] body) {
        StringBuilder text = new StringBuilder();
        for (byte b : Arrays.copyOf(hash(body), 8)) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }

    static String word(byte[] body, int number) {
        String head = new String(body, 0, Math.min(body.length, 64), StandardCharsets.ISO_8859_1);
        String[] words = head.split(":", 3);
        return words.length == 3 ? words[number] : "";
    }
}
