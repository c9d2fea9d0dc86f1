"""The subset of the TOSCA Simple Profile that describes applications. Pure: what a template needs is handed over.

A template is read in this order: its `imports`, the types that it and its imports define (`definitions`), its inputs and
nodes (`topology`), and at last the properties of its nodes, with their `functions` evaluated and their `values` checked.
Parsing YAML, opening archives and fetching are others' business.
"""

from krake.data.tosca.imports import Import, imports_of
from krake.data.tosca.problems import InvalidTemplate
from krake.data.tosca.translation import check_template, is_inherently_wrong, translate

__all__ = ["Import", "InvalidTemplate", "check_template", "imports_of", "is_inherently_wrong", "translate"]
