"""Puts many mutants into one file, each behind a switch that is read when the program runs: `a < b` becomes
`(if crate::mutant(7) { a <= b } else { a < b })`. All of them are compiled at once, and each is judged without a build.

Operands stay what they are: where cargo-mutants turns `a - b * c` into `a - b + c`, this is `a - (b + c)`.
"""

import collections
import re

import tree_sitter
import tree_sitter_rust

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
# What is compiled into each package whose files have mutants.
SWITCH = """
/// Whether the mutant with this number is the one to run.
#[doc(hidden)]
pub fn mutant(number: u32) -> bool {
    static ACTIVE: std::sync::LazyLock<u32> =
        std::sync::LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0));
    *ACTIVE == number
}
"""
# What is computed by the compiler, and so can't read a switch.
CONSTANT = {"const_item", "static_item", "array_type", "const_block", "enum_variant", "const_parameter"}


class Alone(Exception):
    """A mutant that needs a build of its own."""


def offset(text, place):
    """The byte at which a line and column is."""
    lines = text.split("\n")
    before = sum(len(line.encode()) + 1 for line in lines[:place["line"] - 1])
    return before + len(lines[place["line"] - 1][:place["column"] - 1].encode())


def ancestors(node):
    while node:
        yield node
        node = node.parent


def is_constant(node):
    for one in ancestors(node):
        if one.type in CONSTANT:
            return True
        if one.type == "function_item":
            modifiers = next((child for child in one.children if child.type == "function_modifiers"), None)
            return modifiers is not None and b"const" in modifiers.text.split()
    return False


def place(tree, text, mutant):
    """The node that a mutant changes."""
    begin, end = (offset(text, mutant["span"][side]) for side in ("start", "end"))
    found = tree.root_node.descendant_for_byte_range(begin, max(begin, end - (mutant["genre"] in ("MatchArm", "FnValue"))))
    kinds = {
        "BinaryOperator": lambda node: node.type in ("binary_expression", "compound_assignment_expr"),
        "UnaryOperator": lambda node: node.type == "unary_expression",
        "MatchArm": lambda node: node.type == "match_arm" and node.start_byte == begin,
        "MatchArmGuard": lambda node: node.parent.type == "match_pattern" and node.start_byte == begin,
        "FnValue": lambda node: node.type == "function_item" and node.child_by_field_name("body").start_byte < begin,
    }
    is_it = kinds.get(mutant["genre"])
    node = next((node for node in ancestors(found) if is_it and node.parent and is_it(node)), None)
    if node is None or is_constant(node):
        raise Alone
    # `&&` of a chain with `let` isn't an operator of an expression.
    if mutant["genre"] == "BinaryOperator" and found.parent != node:
        raise Alone
    if mutant["genre"] == "FnValue":
        returned = node.child_by_field_name("return_type")
        if returned is not None and b"impl " in returned.text:
            raise Alone
    return node


class File:
    """A source file with mutants."""

    def __init__(self, text):
        self.text, self.source = text, text.encode()
        self.tree = PARSER.parse(self.source)
        self.at = collections.defaultdict(list)

    def add(self, number, mutant):
        """Raises Alone if the mutant can't be behind a switch."""
        node = place(self.tree, self.text, mutant)
        self.at[node.id].append((number, mutant, node))

    def embedded(self, numbers):
        """The text of the file with those of the mutants that have one of these numbers."""
        self.numbers = numbers
        self.edits = sorted(node.start_byte for found in self.at.values() for number, _, node in found if number in numbers)
        return self.render(self.tree.root_node).decode()

    def render(self, node):
        if not any(node.start_byte <= edit < node.end_byte for edit in self.edits):
            return self.source[node.start_byte:node.end_byte]
        found = [(number, mutant) for number, mutant, _ in self.at.get(node.id, []) if number in self.numbers]
        parts, at = [], node.start_byte
        for child in node.children:
            parts += [self.source[at:child.start_byte], self.child(node, child, found)]
            at = child.end_byte
        inner = b"".join([*parts, self.source[at:node.end_byte]])
        if node.type in ("match_arm", "function_item"):
            return inner
        for number, mutant in found:
            changed = self.changed(node, mutant)
            inner = b"(/*%d:*/if crate::mutant(%d) {/*%d<*/%s/*>%d*/} else {%s}/*:%d*/)" % (number, number, number, changed, number, inner, number)
        return inner

    def child(self, node, child, found):
        """A part of a node. Those of an arm and a function say themselves what a mutant does."""
        text = self.render(child)
        for number, mutant in found:
            if node.type == "match_arm" and child == node.child_by_field_name("pattern"):
                text += b"/*%d:*/ if !crate::mutant(%d)/*:%d*/" % (number, number, number)
            if node.type == "function_item" and child == node.child_by_field_name("body"):
                result = mutant["replacement"].encode()
                text = b"{/*%d:*/if crate::mutant(%d) {/*%d<*/return %s;/*>%d*/}/*:%d*/" % (number, number, number, result, number, number) + text[1:]
        return text

    def changed(self, node, mutant):
        """The text of a node with the mutant in it."""
        begin, end = (offset(self.text, mutant["span"][side]) for side in ("start", "end"))
        return self.source[node.start_byte:begin] + mutant["replacement"].encode() + self.source[end:node.end_byte]


def replaced(text, mutant):
    """The text of a file with a mutant in it, without a switch."""
    begin, end = (offset(text, mutant["span"][side]) for side in ("start", "end"))
    source = text.encode()
    return (source[:begin] + mutant["replacement"].encode() + source[end:]).decode()


def culprits(text, error, begin, end):
    """The mutants that an error at this place of an embedded file is about, each with whether it is the mutant that is wrong and not
    the switch."""
    data = text.encode()
    if (error["code"] or {}).get("code") == "E0004":
        # A match that needs its last arm without a guard. The error is at its value.
        node = PARSER.parse(data).root_node.descendant_for_byte_range(begin, end)
        found = next((one for one in ancestors(node) if one.type == "match_expression"), None)
        return [(int(number), False) for number in set(re.findall(rb"/\*(\d+):\*/ if !", found.text))] if found else []
    for opening, closing, is_wrong in ((rb"/\*(\d+)<\*/", b"/*>%d*/", True), (rb"/\*(\d+):\*/", b"/*:%d*/", False)):
        found = []
        for match in re.finditer(opening, data[:begin + 1]):
            close = data.find(closing % int(match[1]), match.end())
            if end <= close:
                found.append((close - match.start(), int(match[1])))
        if found:
            return [(min(found)[1], is_wrong)]
    return []
