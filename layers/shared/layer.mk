# `sam build` runs this in a copy of layers/shared, with ARTIFACTS_DIR set. It does not say for which architecture;
# the folder that ContextPath in template.yaml chooses does.
.PHONY: build-SharedLayer
build-SharedLayer:
	PYTHONHASHSEED=0 python3.13 build_layer.py $(ARCHITECTURE) "$(ARTIFACTS_DIR)"
