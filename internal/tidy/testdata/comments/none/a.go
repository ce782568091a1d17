package none // want "no file of the package"
