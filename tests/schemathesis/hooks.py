"""What schemathesis cannot be told in its configuration."""

import os

import schemathesis

# A user's JWT and a header that names another user are two credentials in one
# request, which is refused with 400 by design (CONTRACT: authentication).
if os.environ["KEYWRIGHT_PERSONA"] == "user":

    @schemathesis.hook
    def before_call(context, case, kwargs):
        for name in [name for name in case.headers or {} if name.lower() == "keywright-user"]:
            del case.headers[name]
