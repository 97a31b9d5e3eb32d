"""Runs in `.venv-sam`'s Python: translates the template in the first argument as a deployment does, and prints it."""

import json
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template = yaml_parse(Path(sys.argv[1]).read_text())
for resource in template["Resources"].values():
    for uri in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
        resource["Properties"][uri] = "s3://bucket/key"  # what `sam deploy` puts there
parameters = {name: declared.get("Default", "") for name, declared in template["Parameters"].items()}
translator = Translator({}, Parser())
translated = translator.translate(template, parameter_values={**parameters, "AWS::Region": "us-east-1"})
json.dump(translated, sys.stdout)
