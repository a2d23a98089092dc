"""Translates lines of a table export from DynamoDB JSON to Ion, with Amazon's own library, in the layout that DynamoDB documents.

A line of a full export is `$ion_1_0 {Item:{…}}`, and one of an incremental export `$ion_1_0 {Record:{Keys:{…},Metadata:{…},…}}`.
"""

import base64
import decimal
import json
import sys

from amazon.ion import simpleion
from amazon.ion.core import IonType
from amazon.ion.simple_types import IonPyList

# DynamoDB's numbers have up to 38 digits, and an export writes 600 as 6d2.
NUMBERS = decimal.Context(prec=38)


def value(typed):
    ((kind, content),) = typed.items()
    match kind:
        case "N":
            return NUMBERS.create_decimal(content).normalize(NUMBERS)
        case "B":
            return base64.b64decode(content)
        case "NULL":
            return None
        case "L":
            return [value(one) for one in content]
        case "M":
            return item(content)
        case "SS" | "NS" | "BS":
            members = [value({kind[0]: one}) for one in content]
            return IonPyList.from_value(IonType.LIST, members, annotations=(f"$dynamodb_{kind}",))
    return content


def item(attributes):
    return {name: value(typed) for name, typed in attributes.items()}


for line in sys.stdin:
    parts = {name: item(attributes) for name, attributes in json.loads(line).items()}
    print(simpleion.dumps(parts if "Item" in parts else {"Record": parts}, binary=False))
