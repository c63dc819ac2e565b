"""A key in AWS KMS for the tests of its adapter."""

from tests.external.aws import aws_account, aws_key

__all__ = ["aws_account", "aws_key"]
