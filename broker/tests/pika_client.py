"""Talks to a broker as another client would: python3 pika_client.py amqp://..."""

import sys

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError


def check(is_so, what):
    if not is_so:
        sys.exit(f"not so: {what}")
    print(f"ok: {what}")


def main(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()

    channel.exchange_declare("pika-exchange", "direct")
    channel.queue_declare(
        "pika-queue", durable=True, arguments={"x-message-ttl": 60000, "x-max-length": 100}
    )
    channel.queue_bind("pika-queue", "pika-exchange", "jobs.a.b")
    check(True, "declares and binds")

    properties = pika.BasicProperties(
        message_id="m-1", user_id="guest", headers={"nested": {"list": [1, "two", None]}}
    )
    channel.basic_publish("pika-exchange", "jobs.a.b", b"hello", properties, mandatory=True)
    check(True, "publishes with a confirm")

    try:
        channel.basic_publish("pika-exchange", "nowhere", b"back", mandatory=True)
        check(False, "an unroutable message comes back")
    except UnroutableError as error:
        check(error.messages[0].body == b"back", "an unroutable message comes back")

    for method, seen, body in channel.consume("pika-queue", inactivity_timeout=5):
        check(body == b"hello" and seen.message_id == "m-1", "consumes")
        check(seen.headers == {"nested": {"list": [1, "two", None]}}, "keeps headers")
        check(not method.redelivered, "delivers for the first time")
        channel.basic_nack(method.delivery_tag, requeue=True)
        break
    for method, _, _ in channel.consume("pika-queue", inactivity_timeout=5):
        check(method.redelivered, "delivers again")
        channel.basic_ack(method.delivery_tag)
        break
    channel.cancel()

    body = bytes(range(256)) * 4096
    channel.basic_publish("", "pika-queue", body, mandatory=True)
    _, _, got = channel.basic_get("pika-queue", auto_ack=True)
    check(got == body, "passes a megabyte")

    cancelled = []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    channel.basic_consume("pika-queue", lambda *_: None, consumer_tag="reader")
    other = connection.channel()
    other.queue_delete("pika-queue")
    connection.process_data_events(time_limit=0.5)
    check(cancelled == ["reader"], "is told that its queue was deleted")

    try:
        other.queue_declare("pika-queue", passive=True)
        check(False, "a queue that is not there is refused")
    except ChannelClosedByBroker as error:
        check(error.reply_code == 404, "a queue that is not there is refused")

    channel.exchange_delete("pika-exchange")
    connection.close()
    print("all is well")


if __name__ == "__main__":
    main(sys.argv[1])
