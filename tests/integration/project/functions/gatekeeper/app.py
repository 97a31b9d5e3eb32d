"""An authorizer: `Bearer good` may call, `Bearer denied` may not, `Bearer broken` breaks it."""


def handler(event, context):
    token = event["authorizationToken"].removeprefix("Bearer ")
    if token == "broken":
        raise ValueError("broken")
    if token not in ("good", "denied"):
        raise Exception("Unauthorized")
    statement = {
        "Effect": "Allow" if token == "good" else "Deny",
        "Action": "execute-api:Invoke",
        "Resource": event["methodArn"].split("/")[0] + "/*",
    }
    return {
        "principalId": "somebody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"limit": 5, "vip": True},
    }
