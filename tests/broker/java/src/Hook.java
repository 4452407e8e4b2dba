// SPDX-License-Identifier: BSD-2-Clause
//
// Hook.java - the client's own hook that signs requests, for lines with access= and secret=.

import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.RPCHook;

final class Hook {
    private Hook() {
    }

    /** Null: nothing is signed. */
    static RPCHook of(Line line) throws Exception {
        return line.has("access")
                ? new AclClientRPCHook(new SessionCredentials(line.text("access"), line.text("secret")))
                : null;
    }
}
