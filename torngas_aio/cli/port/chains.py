"""Expressions as chains of steps: `caches['a'].get(k)` is `("caches", "[]", ".get", "()")`.

A chain keeps what says which object a call is on, and nothing of its arguments. Begin with `chain_of`.
"""

import ast

__all__ = ["Chain", "chain_of"]

Chain = tuple[str, ...]


def chain_of(node: ast.AST) -> Chain:  # noqa: PLR0911  one for each kind of node
    """Return the chain of *node*; empty where it does not start with a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Await):
        return chain_of(node.value)
    if isinstance(node, ast.BoolOp):
        return next((found for each in node.values if (found := chain_of(each))), ())
    if isinstance(node, ast.Attribute):
        owner = chain_of(node.value)
        return (*owner, f".{node.attr}") if owner else ()
    if isinstance(node, ast.Subscript):
        owner = chain_of(node.value)
        return (*owner, "[]") if owner else ()
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            return ("super()",)
        owner = chain_of(node.func)
        return (*owner, "()") if owner else ()
    return ()
