"""Makes default rules for objects that are defined by rules with several keys, `s[k] contains x`.

regorus 0.13 takes them for undefined where none of their rules holds; OPA for empty.
"""

from collections.abc import Iterator, Sequence

from gateway.policy.embedded.syntax_tree import Module, head_of, is_plain, only


def empty_objects(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """Yields a module with a default for each object that is undefined if none of its rules applies."""
    paths = {
        module.resolve(refr)
        for module in modules
        for rule in module.rules
        if not is_plain(refr := head_of(rule)["refr"])
        # An object with one key for each value is empty here too.
        and ("Set" in only(rule)[1]["head"] or not is_plain(only(refr)[1]["refr"]))
    }
    for number, path in enumerate(sorted(paths)):
        length = max(len(one.package) for one in modules if path[: len(one.package)] == one.package)
        package, name = ".".join(path[1:length]), ".".join(path[length:])
        yield f"default {number}", f"package {package}\n\ndefault {name} := {{}}\n"
