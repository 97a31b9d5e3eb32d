"""An authorizer: `Bearer good` and `Bearer other` may call, as two callers; `Bearer denied` may not, `Bearer broken`
breaks it."""


def handler(event, context):
    token = event["authorizationToken"].removeprefix("Bearer ")
    if token == "broken":
        raise ValueError("broken")
    if token not in ("good", "other", "denied"):
        raise Exception("Unauthorized")
    statement = {
        "Effect": "Deny" if token == "denied" else "Allow",
        "Action": "execute-api:Invoke",
        "Resource": event["methodArn"].split("/")[0] + "/*",
    }
    return {
        "principalId": "somebody else" if token == "other" else "somebody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"limit": 5, "vip": True},
    }
