"""What a student delivers: figures that should stay where they are."""

from .common import STUDENTS, distil, labelled


class Quality:
    params = STUDENTS
    param_names = ("student",)
    timeout = 600

    def setup_cache(self):
        data = labelled()
        models = {name: distil(name, data).student_ for name in STUDENTS}
        return models, data

    def setup(self, cache, name):
        models, self.data = cache
        self.model = models[name]
        self.P = self.model.predict_proba(self.data.X_test)

    def track_accuracy(self, cache, name):
        return float(self.model.score(self.data.X_test, self.data.y_test))

    def track_log_loss(self, cache, name):
        from sklearn.metrics import log_loss

        return float(log_loss(self.data.y_test, self.P, labels=self.model.classes_))

    def track_agreement(self, cache, name):
        from skdistill.metrics import agreement

        return float(agreement(self.data.P_test, self.P))

    def track_bytes(self, cache, name):
        from skdistill.metrics import model_size

        return model_size(self.model)

    track_accuracy.unit = "share"
    track_log_loss.unit = "nats"
    track_agreement.unit = "share"
    track_bytes.unit = "bytes"
