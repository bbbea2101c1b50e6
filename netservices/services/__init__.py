"""One module or package per kind of service; each exports one ``KIND``. None imports another."""
