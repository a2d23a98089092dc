"""Warns if no one receives the alarms of a stack or the alerts of its pipeline: each topic needs a subscription that has been confirmed.

usage: subscribers.py STACK; the exit code is always 0, because the stack is deployed
"""

import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

TOPICS = {
    "AlarmTopicArn": ("every alarm", "AlarmEmail=ADDRESS"),
    "PageTopicArn": ("Page, which needs someone now", "PageEndpoint=URL"),
    "TicketTopicArn": ("Ticket, which needs someone this week", "TicketEndpoint=URL"),
}
# Only with AlertEmail.
ALERTS = {"UsageAlertTopicArn": ("the alerts of the pipeline", "AlertEmail=ADDRESS")}


def main(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if not any(name in outputs for name in TOPICS):
        print(f"warning: {stack} has no alarms: make deploy STACK={stack} PARAMETERS='Alarms=true'")
    for name, (received, parameter) in {**TOPICS, **ALERTS}.items():
        if name in outputs:
            warn(stack, outputs[name], received, parameter)


def warn(stack, topic, received, parameter):
    pages = boto3.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    arns = [subscription["SubscriptionArn"] for page in pages for subscription in page["Subscriptions"]]
    if any(arn.startswith("arn:") for arn in arns):
        return
    if "PendingConfirmation" in arns:
        print(f"warning: no one receives {received}: confirm the subscription with the link that SNS sent")
    else:
        print(f"warning: no one receives {received}: make deploy STACK={stack} PARAMETERS='{parameter}'")


try:
    main(sys.argv[1])
except (BotoCoreError, ClientError) as error:
    print(f"warning: could not check who receives the alarms: {error}")
