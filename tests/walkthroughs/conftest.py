"""What walkthroughs in a browser, and with AWS KMS, stand on."""

from tests.browser.conftest import browser, serve, visiting
from tests.external.aws import aws_account, aws_key

__all__ = ["aws_account", "aws_key", "browser", "serve", "visiting"]
